/*
 * doctor_checks.h - what is looked at; each group says what it finds by doctor_say()
 */
#pragma once

#include "cli/commands/doctor_report.h"

void doctor_engine(struct doctor *doctor);    /* where sets meet, and whether one can be made */
void doctor_system(struct doctor *doctor);    /* limits, memory, folders, the clock */
void doctor_sqlserver(struct doctor *doctor); /* its library, its account, its shared memory, FreeTDS */
