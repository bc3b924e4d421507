/* Any bytes at all as a script: refused with a line's number, or steps that hold together. */
#include <stdlib.h>
#include <string.h>

#include "core/script/parse.h"
#include "fuzz.h"

static void insist(bool holds)
{
        if (!holds)
                abort();
}

static void check_command(const struct script *script, const struct script_device *device,
                          const struct script_command *command)
{
        insist(command->count >= 1 && command->count <= SCRIPT_COUNT_MAX);
        insist(command->depth >= 1 && command->depth <= VDS_QUEUE_DEPTH);
        insist(command->expect.count <= SCRIPT_CODES_MAX && command->until.count <= SCRIPT_CODES_MAX);
        insist(command->label < (int)device->labels.count && command->save < (int)device->places.count);
        insist(!command->at.given || command->at.saved < (int)device->places.count);
        insist(!command->gives.given || command->gives.saved < (int)device->places.count);
        if (command->code == VDC_Read || command->code == VDC_Write)
                insist(command->size > 0 && (uint32_t)command->size <= script->max_transfer);
}

/* A repeat and its end know each other, and lie within each other properly. */
static void check_repeats(const struct script_device *device)
{
        uint32_t open[SCRIPT_NESTING_MAX];
        uint32_t depth = 0;

        for (uint32_t i = 0; i < device->count; i++) {
                const struct script_step *step = &device->steps[i];

                if (step->kind == SCRIPT_REPEAT) {
                        insist(depth < SCRIPT_NESTING_MAX && step->repeat.partner > i);
                        open[depth++] = i;
                } else if (step->kind == SCRIPT_END_REPEAT) {
                        insist(depth > 0);
                        insist(open[--depth] == step->repeat.partner);
                        insist(device->steps[step->repeat.partner].repeat.partner == i);
                }
        }
        insist(depth == 0);
}

static void check_device(const struct script *script, const struct script_device *device)
{
        insist(device->count <= SCRIPT_LINES_MAX);
        for (uint32_t i = 0; i < device->count; i++) {
                const struct script_step *step = &device->steps[i];

                insist(step->line >= 1 && step->line <= SCRIPT_LINES_MAX);
                if (step->kind == SCRIPT_COMMAND)
                        check_command(script, device, &step->command);
                for (uint32_t j = 0; step->kind == SCRIPT_AWAIT && j < step->await.count; j++)
                        insist(step->await.order[j] < device->labels.count);
        }
        check_repeats(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error err = ERROR_INIT;
        struct script *script = NULL;
        char *text = malloc(size + 1);

        if (!text)
                return 0;
        memcpy(text, data, size);
        if (script_parse("x", text, size, &script, &err) < 0)
                insist(!script && err.code != ERR_NONE && strncmp(err.message, "x:", 2) == 0);
        for (uint32_t i = 0; script && i < VDS_DEVICES_MAX; i++)
                if (script->devices[i])
                        check_device(script, script->devices[i]);
        script_free(script);
        free(text);
        return 0;
}

void fuzz_repair(uint8_t *data, size_t size)
{
        (void)data;
        (void)size;
}

void fuzz_make_seeds(void)
{
        static const char *const seeds[] = {
                "# all settings\nset blocksize 512\nset maxtransfer 2M\nset alignment 64K\nset buffers 9\n"
                "set direction both\nset grant discard+complete\nset timeout 1.5\nset patience 0.25\n"
                "set onfailure continue\nset info 'a # b'\nverdict failed \"no\"\nexpect features tape+discard\n"
                "expect devices 2\nexpect prefix 512\ndevice 1\n",
                "device 1\nwrite 64K x100 depth 4 data pattern 7 expect full,112,any bytes <= 4K\n"
                "read 64K until eof,nodata check pattern 7 from 8 total 1G\nread 4K at 8K check zero bytes 3\n",
                "device 2 'x'\ngetposition save here\nsetposition here+4 from end gives here-1 save there\n"
                "send flush as A\nsend command 19 size -3 at 4 as B\nawait B A ordered\nskipmarks -1\ndrain\n",
                "device 1\nrepeat 3 {\nrepeat 2 {\nwrite 4K\n}\nmeet\n}\nbuffers 3\nstall 0.5\nhold for timeout\n"
                "abort\nclose set\nclose\nexit\ndie\ndevice 64\nload 1\nsnapshot expect unsupported\n",
        };

        for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
                fuzz_seed_append(seeds[i], strlen(seeds[i]));
                fuzz_seed_end();
        }
}
