// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The state of one GPU, read from its files and brought up to now.
#include "sim.h"

// Reads the state of one GPU into the call. The board itself is read even if the GPU is lost.
nvmlReturn_t sim_select(struct sim_call *call, int gpu)
{
    static const char *const names[SIM_SCOPES] = {"board", "outside", "persistent", "boot", "volatile", "processes",
                                                   "meter", "mig"};
    char file[SIM_KEY_SIZE];
    call->gpu = gpu;
    for (int scope = 0; scope < SIM_SCOPES; scope++) {
        sim_format(file, sizeof(file), "gpu%d.%s", gpu, names[scope]);
        if (sim_load(&call->gpus[scope], file) < (scope == SIM_BOARD))
            return NVML_ERROR_UNKNOWN;
    }
    sim_meter_advance(call);
    return sim_get_number(&call->gpus[SIM_OUTSIDE], "lost", 0) ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

// Writes the meter of a GPU whose settings are about to change outside of a call about it.
int sim_meter_settle(int gpu)
{
    static struct sim_call own;
    if (sim_load(&own.node, "node") <= 0)
        return 0;
    if (sim_select(&own, gpu) == NVML_ERROR_UNKNOWN)
        return 0;
    own.gpus[SIM_METER].changed = 1;
    return sim_save(&own.gpus[SIM_METER]);
}
