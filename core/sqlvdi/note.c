/* The note by which marker.h recognises the drop-in. Written for the assembler, so that no compiler adds to it. */
#include "core/sqlvdi/marker.h"

__asm__(".pushsection .note.vdipipe, \"a\", %note\n"
        "        .balign 4\n"
        "        .long 2f - 1f, 4f - 3f, 1\n"
        "1:      .asciz \"" MARKER_OWNER "\"\n"
        "2:      .balign 4\n"
        "3:      .asciz \"" VDIPIPE_VERSION "\"\n"
        "4:      .balign 4\n"
        ".popsection\n");

_Static_assert(MARKER_DROPIN == 1, "the type in the note");
