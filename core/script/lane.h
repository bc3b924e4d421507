/*
 * lane.h - the sequence of one device, step by step
 */
#pragma once

#include "core/script/flight.h"

/* Runs the whole sequence and closes the device. */
void lane_run(struct lane *lane);
