/*
 * lane.h - the sequence of one device, step by step
 */
#ifndef VDIPIPE_CORE_SCRIPT_LANE_H
#define VDIPIPE_CORE_SCRIPT_LANE_H

#include "core/script/flight.h"

/* Runs the whole sequence and closes the device. */
void lane_run(struct lane *lane);

#endif
