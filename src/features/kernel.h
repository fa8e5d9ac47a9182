/* kernel.h - names the instruction set a kernel is run with. */
#ifndef SL_KERNEL_H
#define SL_KERNEL_H

/* Every kernel has a plain-C form and may have a fast one; both give the same bits, so the choice
 * is never visible in a feature. */
typedef enum sl_kernel {
    SL_KERNEL_REF,
    SL_KERNEL_AVX2,  /* where it pays: normalize, units, set sketch; else the plain form */
    SL_KERNEL_AVX512 /* F, BW, DQ, VBMI and VBMI2: Ice Lake, Zen 4 and later */
} sl_kernel;

#if defined(__x86_64__)
#define SL_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define SL_TARGET_AVX512                                                                           \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,"    \
                          "lzcnt,popcnt")))
#endif

static inline sl_kernel sl_kernel_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("bmi2")) {
        return SL_KERNEL_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
        return SL_KERNEL_AVX2;
    }
#endif
    return SL_KERNEL_REF;
}

#endif
