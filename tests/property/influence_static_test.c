/* influence_static_test.c - scores and sums of given states, beside float64 (data/influence). */
#include "influence/curvature.h"
#include "influence/leverage.h"
#include "influence/moments.h"
#include "influence/score.h"
#include "influence/stability.h"
#include "influence_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define N_MAX 256

typedef struct golden_case {
    const char *name;
    sl_shape shape;
    uint32_t n;
    float *outputs, *inputs; /* [n][K][..], unit; the same if the adapter is the identity */
    bool *refused;
    float *basis_in, *basis_out, *lambda0;
    sl_slice slice;
    float *left, *work;
    double have[7][N_MAX]; /* loss, norm2, self, ratio, toward 0 and 1, leverage, residual */
    double have_residual[N_MAX];
} golden_case;

enum { LOSS, NORM2, SELF, RATIO, TOWARD, LEVERAGE = 6 };

/* h and a over |h|, in double; a row that cannot be scored is marked. */
static void normalize(const golden_array *outputs, const golden_array *inputs,
                      const sl_shape *shape, float *u, float *x, bool *refused)
{
    const size_t n_rows = outputs->n / shape->dim_out;
    for (size_t i = 0; i < n_rows; i++) {
        double square = 0;
        for (uint32_t j = 0; j < shape->dim_out; j++) {
            square += outputs->at[i * shape->dim_out + j] * outputs->at[i * shape->dim_out + j];
        }
        double norm = sqrt(square);
        bool bad = !(norm > 1e-12) || isinf(norm);
        for (uint32_t j = 0; j < shape->dim_out; j++) {
            u[i * shape->dim_out + j] =
                bad ? 0.0F : (float)(outputs->at[i * shape->dim_out + j] / norm);
        }
        for (uint32_t j = 0; x != u && j < shape->dim_in; j++) {
            double value = inputs->at[i * shape->dim_in + j];
            bad = bad || !isfinite(value);
            x[i * shape->dim_in + j] = bad ? 0.0F : (float)(value / norm);
        }
        refused[i / shape->n_views] |= bad;
    }
}

static float *floats(size_t n)
{
    return calloc(n + 1, sizeof(float));
}

static void open_slice(golden_case *self)
{
    const size_t out = self->shape.n_views * sl_view_floats(self->shape.dim_out);
    const size_t in = self->shape.n_views * sl_view_floats(self->shape.dim_in);
    self->slice.outputs = floats(out);
    self->slice.u = floats(out);
    self->slice.s = floats(out);
    self->left = floats(out);
    self->slice.inputs = self->shape.own_inputs ? floats(in) : self->slice.outputs;
    self->slice.right = self->shape.own_inputs ? floats(in) : self->slice.u;
    self->slice.a = self->shape.own_inputs ? floats(in) : self->slice.s;
    self->work = floats(sl_curvature_floats(&self->shape) + out + in);
}

static bool open_case(golden_case *self, const char *name)
{
    *self = (golden_case){.name = name};
    golden_array outputs = golden_read(name, "views.npy");
    golden_array inputs = {.n = 0};
    self->shape.own_inputs = outputs.n == 0;
    if (self->shape.own_inputs) {
        outputs = golden_read(name, "outputs.npy");
        inputs = golden_read(name, "activations.npy");
    }
    if (outputs.n == 0) {
        return false;
    }
    self->n = (uint32_t)outputs.shape[0];
    self->shape.n_views = (uint32_t)outputs.shape[1];
    self->shape.dim_out = (uint32_t)outputs.shape[2];
    self->shape.dim_in = self->shape.own_inputs ? (uint32_t)inputs.shape[2] : self->shape.dim_out;
    self->outputs = floats(outputs.n);
    self->inputs = self->shape.own_inputs ? floats(inputs.n) : self->outputs;
    self->refused = calloc(self->n + 1, sizeof *self->refused);
    normalize(&outputs, &inputs, &self->shape, self->outputs, self->inputs, self->refused);
    golden_array basis = golden_read(name, "basis_in.npy");
    self->basis_in = golden_floats(&basis);
    self->basis_out = self->basis_in;
    free(basis.at);
    if (self->shape.own_inputs) {
        basis = golden_read(name, "basis_out.npy");
        self->basis_out = golden_floats(&basis);
        free(basis.at);
    }
    basis = golden_read(name, "lambda0.npy");
    self->lambda0 = golden_floats(&basis);
    free(basis.at);
    free(outputs.at);
    free(inputs.at);
    open_slice(self);
    return true;
}

static void close_case(golden_case *self)
{
    if (self->shape.own_inputs) {
        free(self->inputs);
        free(self->basis_out);
        free(self->slice.inputs);
        free(self->slice.right);
        free(self->slice.a);
    }
    free(self->outputs);
    free(self->refused);
    free(self->basis_in);
    free(self->lambda0);
    free(self->slice.outputs);
    free(self->slice.u);
    free(self->slice.s);
    free(self->left);
    free(self->work);
}

static void put_row(const float *from, uint32_t n_views, uint32_t dim, uint32_t i_slot, float *rows)
{
    for (uint32_t k = 0; k < n_views; k++) {
        memcpy(rows + k * sl_view_floats(dim) + (size_t)i_slot * dim, from + (size_t)k * dim,
               sizeof *rows * dim);
    }
}

/* Rows first .. first + n of the case into slots 0 .. */
static void fill_slice(golden_case *self, const float *outputs, const float *inputs, uint32_t first,
                       uint32_t n)
{
    const sl_shape *shape = &self->shape;
    memset(self->slice.outputs, 0, sizeof(float) * shape->n_views * sl_view_floats(shape->dim_out));
    memset(self->slice.inputs, 0, sizeof(float) * shape->n_views * sl_view_floats(shape->dim_in));
    for (uint32_t i = 0; i < n; i++) {
        const size_t at = (size_t)(first + i) * shape->n_views;
        put_row(outputs + at * shape->dim_out, shape->n_views, shape->dim_out, i,
                self->slice.outputs);
        put_row(inputs + at * shape->dim_in, shape->n_views, shape->dim_in, i, self->slice.inputs);
    }
    sl_stability_prepare(shape, NULL, &self->slice);
    sl_score_rotate(shape, self->basis_out, self->basis_in, &self->slice);
}

/* S . (U_G' Rbar U_A) of one reference set. */
static float *solve_reference(golden_case *self, uint32_t i_reference, const float *inverse)
{
    const sl_shape *shape = &self->shape;
    const size_t size = (size_t)shape->dim_out * shape->dim_in;
    char file[64];
    golden_array inputs = {.n = 0};
    snprintf(file, sizeof file, "ref%u_%s.npy", i_reference,
             shape->own_inputs ? "outputs" : "views");
    golden_array outputs = golden_read(self->name, file);
    if (shape->own_inputs) {
        snprintf(file, sizeof file, "ref%u_activations.npy", i_reference);
        inputs = golden_read(self->name, file);
    }
    uint32_t n = (uint32_t)outputs.shape[0];
    bool *refused = calloc(n + 1, sizeof *refused);
    float *u = floats(outputs.n);
    float *x = shape->own_inputs ? floats(inputs.n) : u;
    normalize(&outputs, &inputs, shape, u, x, refused);
    float *mean = floats(size);
    float *half = floats(size);
    float *solved = floats(size);
    for (uint32_t first = 0; first < n; first += SL_SLOTS) {
        float weight[SL_SLOTS] = {0};
        uint32_t n_rows = n - first < SL_SLOTS ? n - first : SL_SLOTS;
        for (uint32_t i = 0; i < n_rows; i++) {
            weight[i] = 1.0F / (float)n;
        }
        fill_slice(self, u, x, first, n_rows);
        sl_stability_left(shape, &self->slice, self->slice.u, shape->dim_out, self->left);
        sl_moments_add_gradient(shape, self->left, self->slice.right, weight, self->work, mean);
    }
    sl_gemm_product(true, false, shape->dim_out, shape->dim_in, shape->dim_out, self->basis_out,
                    mean, half);
    sl_gemm_product(false, false, shape->dim_out, shape->dim_in, shape->dim_in, half,
                    self->basis_in, solved);
    for (size_t i = 0; i < size; i++) {
        solved[i] *= inverse[i];
    }
    if (x != u) {
        free(x);
    }
    free(u);
    free(refused);
    free(mean);
    free(half);
    free(outputs.at);
    free(inputs.at);
    return solved;
}

static float *make_inverse(const golden_case *self)
{
    const size_t size = (size_t)self->shape.dim_out * self->shape.dim_in;
    const float mu = (float)golden_number(self->name, "mu", NAN);
    float *inverse = floats(size);
    for (size_t i = 0; i < size; i++) {
        inverse[i] = 1 / ((self->lambda0[i] > 0 ? self->lambda0[i] : 0) + mu);
    }
    return inverse;
}

static void score_rows(golden_case *self, const float *inverse, float *const *solved,
                       uint32_t first)
{
    const sl_shape *shape = &self->shape;
    double value[3][SL_SLOTS];
    double norm2[SL_SLOTS];
    const uint32_t n = self->n - first < SL_SLOTS ? self->n - first : SL_SLOTS;
    fill_slice(self, self->outputs, self->inputs, first, n);
    sl_stability_left(shape, &self->slice, self->slice.s, shape->dim_out, self->left);
    sl_stability_norm2(shape, self->left, self->slice.a, norm2);
    sl_score_self(shape, &self->slice, self->left, inverse, self->work, value[0]);
    sl_score_toward(shape, &self->slice, self->left, solved[0], self->work, value[1]);
    sl_score_toward(shape, &self->slice, self->left, solved[1], self->work, value[2]);
    for (uint32_t i = 0; i < n; i++) {
        self->have[LOSS][first + i] = (double)self->slice.delta[0][i];
        self->have[NORM2][first + i] = norm2[i];
        self->have[SELF][first + i] = value[0][i];
        self->have[RATIO][first + i] = norm2[i] < 1e-12 ? NAN : value[0][i] / norm2[i];
        self->have[TOWARD][first + i] = value[1][i];
        self->have[TOWARD + 1][first + i] = value[2][i];
    }
}

static void expect(golden_case *self, const char *file, const double *have, double p99_limit,
                   double max_limit)
{
    double p99, worst;
    golden_array want = golden_read(self->name, file);
    assert_int_equal(want.n, self->n);
    for (uint32_t i = 0; i < self->n; i++) {
        if (self->refused[i]) {
            assert_true(isnan(want.at[i]));
        }
    }
    golden_errors(have, want.at, want.n, &p99, &worst);
    printf("%-28s %-24s p99 %.1e max %.1e\n", self->name, file, p99, worst);
    assert_true(p99 <= p99_limit);
    assert_true(worst <= max_limit);
    free(want.at);
}

static void check_scores(golden_case *self)
{
    float *inverse = make_inverse(self);
    float *solved[2] = {solve_reference(self, 0, inverse), solve_reference(self, 1, inverse)};
    for (uint32_t first = 0; first < self->n; first += SL_SLOTS) {
        score_rows(self, inverse, solved, first);
    }
    expect(self, "expect_loss.npy", self->have[LOSS], 1e-4, 1e-4);
    expect(self, "expect_grad_norm2.npy", self->have[NORM2], 4e-4, 4e-4);
    /* Identical and opposite views have a gradient of nothing but rounding: compared absolutely. */
    for (uint32_t i = self->n - 7; i <= self->n - 6; i++) {
        assert_true(self->have[SELF][i] < 1e-9);
    }
    expect(self, "expect_self.npy", self->have[SELF], 4e-4, 4e-4);
    expect(self, "expect_ratio.npy", self->have[RATIO], 4e-4, 4e-4);
    golden_array toward = golden_read(self->name, "expect_toward.npy");
    for (uint32_t r = 0; r < 2; r++) {
        double want[N_MAX], p99, worst;
        for (uint32_t i = 0; i < self->n; i++) {
            want[i] = toward.at[2 * i + r];
        }
        golden_errors(self->have[TOWARD + r], want, self->n, &p99, &worst);
        printf("%-28s toward %u %17s p99 %.1e max %.1e\n", self->name, r, "", p99, worst);
        assert_true(p99 <= 2e-3 && worst <= 2e-2);
    }
    free(toward.at);
    free(inverse);
    free(solved[0]);
    free(solved[1]);
}

static void check_leverage(golden_case *self)
{
    const uint32_t d = self->shape.dim_in;
    golden_array eig = golden_read(self->name, "eig.npy");
    golden_array mean = golden_read(self->name, "mean.npy");
    sl_leverage leverage = {.dim = d,
                            .rank = (uint32_t)golden_number(self->name, "rank", 0),
                            .p = calloc(d, sizeof(double)),
                            .mt = calloc(d, sizeof(double)),
                            .centred = floats(d),
                            .eig = eig.at};
    for (uint32_t j = 0; j < d; j++) {
        double sum = 0;
        for (uint32_t i = 0; i < d; i++) {
            sum += (double)self->basis_in[(size_t)i * d + j] * mean.at[i];
        }
        leverage.mt[j] = sum;
    }
    sl_leverage_freeze(&leverage, 0.01, 1e9, true);
    double ridge = golden_number(self->name, "ridge", NAN);
    double d_eff = golden_number(self->name, "d_eff", NAN);
    assert_true(fabs(leverage.ridge / ridge - 1) < 1e-4);
    assert_true(fabs(leverage.d_eff / d_eff - 1) < 1e-4);
    for (uint32_t first = 0; first < self->n; first += SL_SLOTS) {
        uint32_t n = self->n - first < SL_SLOTS ? self->n - first : SL_SLOTS;
        double value[SL_SLOTS], residual[SL_SLOTS];
        fill_slice(self, self->outputs, self->inputs, first, n);
        sl_leverage_rows(&leverage, self->slice.a, value, residual);
        memcpy(self->have[LEVERAGE] + first, value, sizeof *value * n);
        memcpy(self->have_residual + first, residual, sizeof *residual * n);
    }
    expect(self, "expect_leverage.npy", self->have[LEVERAGE], 1e-4, 1e-4);
    expect(self, "expect_residual.npy", self->have_residual, 1e-4, 1e-4);
    free(leverage.p);
    free(leverage.mt);
    free(leverage.centred);
    free(eig.at);
    free(mean.at);
}

/* U diag(eig) U' weight: what the sums start at. */
static float *moment_of(const float *basis, const char *name, const char *file, uint32_t d,
                        double weight)
{
    golden_array eig = golden_read(name, file);
    float *sum = floats((size_t)d * d);
    for (uint32_t i = 0; i < d; i++) {
        for (uint32_t j = 0; j < d; j++) {
            double value = 0;
            for (uint32_t k = 0; k < d; k++) {
                value +=
                    (double)basis[(size_t)i * d + k] * eig.at[k] * (double)basis[(size_t)j * d + k];
            }
            sum[(size_t)i * d + j] = (float)(value * weight);
        }
    }
    free(eig.at);
    return sum;
}

/* Largest difference over the largest entry; of a symmetric matrix the upper triangle. */
static void expect_matrix(const char *name, const char *file, const float *have, uint32_t n,
                          bool symmetric)
{
    golden_array want = golden_read(name, file);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < want.n; i++) {
        if (!symmetric || i / n <= i % n) {
            worst = fmax(worst, fabs((double)have[i] - want.at[i]));
        }
        largest = fmax(largest, fabs(want.at[i]));
    }
    printf("%-28s %-24s of the largest %.1e\n", name, file, worst / largest);
    assert_true(worst <= 1e-4 * largest);
    free(want.at);
}

/* The accepted rows of one batch, in slices. */
static void absorb(golden_case *self, sl_moments *moments, float *lambda, uint32_t first,
                   uint32_t n, double half_life)
{
    const sl_shape *shape = &self->shape;
    uint32_t n_accepted = 0;
    for (uint32_t i = first; i < first + n; i++) {
        n_accepted += !self->refused[i];
    }
    double factor = sl_moments_fade((uint64_t)half_life, n_accepted);
    sl_moments_decay(shape, moments, factor);
    for (size_t i = 0; i < (size_t)shape->dim_out * shape->dim_in; i++) {
        lambda[i] *= (float)factor;
    }
    for (uint32_t at = first; at < first + n; at += SL_SLOTS) {
        float weight[SL_SLOTS] = {0};
        uint32_t n_rows = first + n - at < SL_SLOTS ? first + n - at : SL_SLOTS;
        for (uint32_t i = 0; i < n_rows; i++) {
            weight[i] = self->refused[at + i] ? 0 : 1;
        }
        fill_slice(self, self->outputs, self->inputs, at, n_rows);
        sl_moments_add(shape, &self->slice, weight, self->work, moments);
        sl_curvature_add(shape, &self->slice, weight, self->work, lambda);
    }
}

static void check_sums(golden_case *self, const uint32_t *batches, uint32_t n_batches)
{
    const sl_shape *shape = &self->shape;
    const size_t size = (size_t)shape->dim_out * shape->dim_in;
    const double weight0 = golden_number(self->name, "weight0", NAN);
    golden_array mean = golden_read(self->name, "mean.npy");
    sl_moments moments = {.weight = weight0, .mean = mean.at};
    moments.second_in = moment_of(self->basis_in, self->name, "eig.npy", shape->dim_in, weight0);
    if (shape->own_inputs) {
        moments.second_out =
            moment_of(self->basis_out, self->name, "eig_out.npy", shape->dim_out, weight0);
    }
    float *lambda = floats(size);
    float *mean_sum = floats(shape->dim_in);
    for (uint32_t j = 0; j < shape->dim_in; j++) {
        mean.at[j] *= weight0;
    }
    for (size_t i = 0; i < size; i++) {
        lambda[i] = (float)(weight0 * (double)self->lambda0[i]);
    }
    for (uint32_t i = 0, first = 0; i < n_batches; first += batches[i++]) {
        absorb(self, &moments, lambda, first, batches[i],
               golden_number(self->name, "half_life", 0));
    }
    double weight = golden_number(self->name, "after_weight", NAN);
    assert_true(fabs(moments.weight / weight - 1) < 1e-6);
    for (uint32_t j = 0; j < shape->dim_in; j++) {
        mean_sum[j] = (float)mean.at[j];
    }
    expect_matrix(self->name, "after_mean_sum.npy", mean_sum, shape->dim_in, false);
    expect_matrix(self->name, "after_moment_sum.npy", moments.second_in, shape->dim_in, true);
    if (shape->own_inputs) {
        expect_matrix(self->name, "after_moment_out_sum.npy", moments.second_out, shape->dim_out,
                      true);
    }
    expect_matrix(self->name, "after_lambda_H_sum.npy", lambda, shape->dim_in, false);
    free(moments.second_in);
    free(moments.second_out);
    free(lambda);
    free(mean_sum);
    free(mean.at);
}

static void run_case(const char *name, const uint32_t *batches, uint32_t n_batches)
{
    golden_case self;
    if (!open_case(&self, name)) {
        print_message("skipped: no data/influence/%s\n", name);
        skip();
    }
    check_scores(&self);
    check_leverage(&self);
    check_sums(&self, batches, n_batches);
    close_case(&self);
}

#define CASE(function, name, ...)                                                                  \
    static void function(void **state)                                                             \
    {                                                                                              \
        (void)state;                                                                               \
        static const uint32_t batches[] = {__VA_ARGS__};                                           \
        run_case(name, batches, sizeof batches / sizeof *batches);                                 \
    }

CASE(test_static_d8_k2_agrees_with_float64, "static-d8-k2", 64, 64)
CASE(test_static_d8_k3_agrees_with_float64, "static-d8-k3", 32, 96)
CASE(test_static_d64_k3_agrees_with_float64, "static-d64-k3", 64, 64, 128)
CASE(test_static_d384_k2_agrees_with_float64, "static-d384-k2", 64)
CASE(test_static_layer_m8_d12_k3_agrees_with_float64, "static-general-m8-d12-k3", 64, 64)
CASE(test_static_layer_m64_d48_k2_agrees_with_float64, "static-general-m64-d48-k2", 128)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_d8_k2_agrees_with_float64),
        cmocka_unit_test(test_static_d8_k3_agrees_with_float64),
        cmocka_unit_test(test_static_d64_k3_agrees_with_float64),
        cmocka_unit_test(test_static_d384_k2_agrees_with_float64),
        cmocka_unit_test(test_static_layer_m8_d12_k3_agrees_with_float64),
        cmocka_unit_test(test_static_layer_m64_d48_k2_agrees_with_float64),
    };
    sl_gemm_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
