// SPDX-License-Identifier: MIT

//go:build race

package confeval

// raceDetector: the tests are built with it.
const raceDetector = true
