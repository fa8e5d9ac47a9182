/* influence_solve_test.c - gradients at a moved adapter, and the Hessian that they imply, beside
 * float64 (data/influence/solve-d16-k3). */
#include "influence/moments.h"
#include "influence/score.h"
#include "influence/stability.h"
#include "influence_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CASE "solve-d16-k3"
#define DIM  16
#define SIZE (DIM * DIM)

typedef struct solve_case {
    sl_shape shape;
    uint32_t n, n_reference;
    float *rows, *reference; /* unit */
    sl_slice slice;
    float *left, *work;
    double mu;
} solve_case;

static float *unit_rows(const char *file, uint32_t *n)
{
    golden_array views = golden_read(CASE, file);
    float *rows = golden_floats(&views);
    for (size_t i = 0; i < views.n; i += DIM) {
        double square = 0;
        for (size_t j = i; j < i + DIM; j++) {
            square += views.at[j] * views.at[j];
        }
        for (size_t j = i; j < i + DIM; j++) {
            rows[j] = (float)(views.at[j] / sqrt(square));
        }
    }
    *n = (uint32_t)views.shape[0];
    free(views.at);
    return rows;
}

static int open_case(void **state)
{
    static solve_case self;
    golden_array views = golden_read(CASE, "views.npy");
    *state = views.n > 0 ? &self : NULL;
    if (views.n == 0) {
        return 0;
    }
    assert_int_equal(views.shape[2], DIM);
    self.shape = (sl_shape){.n_views = (uint32_t)views.shape[1], .dim_out = DIM, .dim_in = DIM};
    free(views.at);
    self.rows = unit_rows("views.npy", &self.n);
    self.reference = unit_rows("ref0_views.npy", &self.n_reference);
    self.left = calloc(self.shape.n_views * sl_view_floats(DIM), sizeof(float));
    self.work = calloc(4 * self.shape.n_views * sl_view_floats(DIM), sizeof(float));
    self.mu = golden_number(CASE, "mu", NAN);
    return sl_slice_open(&self.shape, true, &self.slice) == SLUICE_OK ? 0 : -1;
}

static int close_case(void **state)
{
    solve_case *self = *state;
    if (self != NULL) {
        free(self->rows);
        free(self->reference);
        free(self->left);
        free(self->work);
        sl_slice_close(&self->slice);
    }
    return 0;
}

static solve_case *case_of(void **state)
{
    if (*state == NULL) {
        printf("skipped: no data/influence/%s\n", CASE);
        skip();
    }
    return *state;
}

/* Rows first .. of n into the slice, at the adapter. */
static void fill(solve_case *self, const float *rows, uint32_t first, uint32_t n,
                 const float *moved)
{
    sl_slice_clear(&self->shape, &self->slice);
    for (uint32_t i = 0; i < SL_SLOTS && first + i < n; i++) {
        sl_slice_put(&self->shape, &self->slice, i,
                     rows + (size_t)(first + i) * self->shape.n_views * DIM, NULL);
    }
    sl_stability_prepare(&self->shape, moved, &self->slice);
}

static void mean_gradient(solve_case *self, const float *rows, uint32_t n, const float *moved,
                          float gradient[SIZE])
{
    memset(gradient, 0, sizeof(float) * SIZE);
    for (uint32_t first = 0; first < n; first += SL_SLOTS) {
        float weight[SL_SLOTS] = {0};
        fill(self, rows, first, n, moved);
        for (uint32_t i = 0; i < SL_SLOTS && first + i < n; i++) {
            weight[i] = 1.0F / (float)n;
        }
        sl_stability_left(&self->shape, &self->slice, self->slice.u, DIM, self->left);
        sl_moments_add_gradient(&self->shape, self->left, self->slice.right, weight, self->work,
                                gradient);
    }
}

/* H V by differences of the gradient at I + t V, of fourth order in t. */
static void multiply(solve_case *self, const double direction[SIZE], double out[SIZE])
{
    static const double at[] = {-2, -1, 1, 2};
    static const double factor[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    double largest = 0;
    for (int i = 0; i < SIZE; i++) {
        largest = fmax(largest, fabs(direction[i]));
        out[i] = 0;
    }
    const double step = 0.02 / largest;
    for (int k = 0; k < 4; k++) {
        float moved[SIZE], gradient[SIZE];
        for (int i = 0; i < SIZE; i++) {
            moved[i] = (float)(at[k] * step * direction[i]);
        }
        mean_gradient(self, self->rows, self->n, moved, gradient);
        for (int i = 0; i < SIZE; i++) {
            out[i] += factor[k] * (double)gradient[i] / step;
        }
    }
}

/* Largest difference over the largest entry. */
static double distance(const double *have, const char *file, uint32_t n)
{
    golden_array want = golden_read(CASE, file);
    double worst = 0, largest = 0;
    assert_int_equal(want.n, n);
    for (uint32_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(have[i] - want.at[i]));
        largest = fmax(largest, fabs(want.at[i]));
    }
    free(want.at);
    printf("%-28s of the largest %.1e\n", file, worst / largest);
    return worst / largest;
}

static void widen(const float *from, double *out)
{
    for (int i = 0; i < SIZE; i++) {
        out[i] = (double)from[i];
    }
}

static void test_solve_gradients_of_stream_and_reference_agree_with_float64(void **state)
{
    solve_case *self = case_of(state);
    float gradient[SIZE];
    double have[SIZE];
    mean_gradient(self, self->rows, self->n, NULL, gradient);
    widen(gradient, have);
    assert_true(distance(have, "expect_mean_gradient.npy", SIZE) <= 1e-4);
    mean_gradient(self, self->reference, self->n_reference, NULL, gradient);
    widen(gradient, have);
    assert_true(distance(have, "expect_ref_gradient.npy", SIZE) <= 1e-4);
}

static void test_solve_hessian_vector_product_agrees_with_float64(void **state)
{
    solve_case *self = case_of(state);
    golden_array direction = golden_read(CASE, "direction.npy");
    double have[SIZE];
    multiply(self, direction.at, have);
    free(direction.at);
    assert_true(distance(have, "expect_hvp_H.npy", SIZE) <= 1e-4);
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < SIZE; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* (H + mu) q = the mean gradient of the reference, by conjugate gradients. */
static void test_solve_of_the_reference_gradient_agrees_with_float64(void **state)
{
    solve_case *self = case_of(state);
    float gradient[SIZE];
    double q[SIZE] = {0}, rest[SIZE], direction[SIZE], product[SIZE];
    mean_gradient(self, self->reference, self->n_reference, NULL, gradient);
    widen(gradient, rest);
    memcpy(direction, rest, sizeof rest);
    double square = dot(rest, rest);
    const double first = square;
    for (int k = 0; k < 60 && square > 1e-10 * first; k++) {
        multiply(self, direction, product);
        for (int i = 0; i < SIZE; i++) {
            product[i] += self->mu * direction[i];
        }
        const double step = square / dot(direction, product);
        for (int i = 0; i < SIZE; i++) {
            q[i] += step * direction[i];
            rest[i] -= step * product[i];
        }
        const double left = dot(rest, rest);
        for (int i = 0; i < SIZE; i++) {
            direction[i] = rest[i] + left / square * direction[i];
        }
        square = left;
    }
    assert_true(distance(q, "expect_q_H.npy", SIZE) <= 1e-3);
}

static void test_solve_scores_at_a_moved_adapter_agree_with_float64(void **state)
{
    solve_case *self = case_of(state);
    golden_array adapter = golden_read(CASE, "expect_adapter1.npy");
    float moved[SIZE], reference[SIZE];
    double *loss = calloc(self->n, sizeof *loss);
    double *product = calloc(self->n, sizeof *product);
    for (int i = 0; i < SIZE; i++) {
        moved[i] = (float)(adapter.at[i] - (i % (DIM + 1) == 0));
    }
    mean_gradient(self, self->reference, self->n_reference, moved, reference);
    for (uint32_t first = 0; first < self->n; first += SL_SLOTS) {
        double toward[SL_SLOTS];
        fill(self, self->rows, first, self->n, moved);
        sl_stability_left(&self->shape, &self->slice, self->slice.u, DIM, self->left);
        const sl_slice plain = {.a = self->slice.right}; /* not rotated */
        sl_score_toward(&self->shape, &plain, self->left, reference, self->work, toward);
        for (uint32_t i = 0; i < SL_SLOTS && first + i < self->n; i++) {
            loss[first + i] = (double)self->slice.delta[0][i];
            product[first + i] = toward[i];
        }
    }
    assert_true(distance(loss, "expect_loss_at_adapter1.npy", self->n) <= 1e-4);
    assert_true(distance(product, "expect_dot_at_adapter1.npy", self->n) <= 1e-4);
    free(loss);
    free(product);
    free(adapter.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solve_gradients_of_stream_and_reference_agree_with_float64),
        cmocka_unit_test(test_solve_hessian_vector_product_agrees_with_float64),
        cmocka_unit_test(test_solve_of_the_reference_gradient_agrees_with_float64),
        cmocka_unit_test(test_solve_scores_at_a_moved_adapter_agree_with_float64),
    };
    return cmocka_run_group_tests(tests, open_case, close_case);
}
