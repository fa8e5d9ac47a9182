/* libraries.h - gives back the pages of libraries that only the dynamic linker has read. */
#ifndef SL_LIBRARIES_H
#define SL_LIBRARIES_H

/* Once, before anything else runs; what is needed again comes back from the file by itself. */
void sl_libraries_release(void);

#endif
