/* libraries.c - gives back the pages of libraries that only the dynamic linker has read.
 *
 *   program and its ~50 libraries | text, symbols: read-only, of the file | data, relocated |
 *                                   given back: comes again where it runs   stays as it is
 *
 * Why: linking looks every symbol up in every library, so half of the pages that a short-lived verb
 * holds (sockets, TLS, LAPACK) are never touched again, and a memory budget counts them.
 * Why nothing can go wrong: such pages are exact copies of the file; objects whose text was
 * relocated, which would not be, are left alone. */
#include "command/libraries.h"

#include <link.h>
#include <sys/mman.h>

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static bool has_relocated_text(const struct dl_phdr_info *object)
{
    for (uint32_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_DYNAMIC) {
            continue;
        }
        const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + part->p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
                return true;
            }
        }
    }
    return false;
}

static int release(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (has_relocated_text(object)) {
        return 0;
    }
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0) {
            uintptr_t first = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
            uintptr_t end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
            (void)madvise((void *)first, end - first, MADV_DONTNEED); /* a wish */
        }
    }
    return 0;
}

void sl_libraries_release(void)
{
    (void)dl_iterate_phdr(release, NULL);
}
