"""peers_influence.py - scores of one linear block, ours and kronfluence's, in one run.

usage: build/influence-venv/bin/python tests/bench/peers_influence.py BENCH [N]

BENCH: bench_influence_score. The same block for both: Linear(384, 384) at the identity, two views a
sample, the cosine stability loss, EK-FAC, one thread. kronfluence fits its factors in two passes over the
N samples (2,000), then scores each on itself and toward one reference set of 200, summed over the set.
"""
import os
import subprocess
import sys
import tempfile
import time
import warnings

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

warnings.filterwarnings("ignore", category=FutureWarning)

import torch  # noqa: E402 (threads first)
from kronfluence.analyzer import Analyzer, prepare_model  # noqa: E402
from kronfluence.arguments import FactorArguments, ScoreArguments  # noqa: E402
from kronfluence.task import Task  # noqa: E402
import kronfluence  # noqa: E402

D, REFERENCES = 384, 200


class Stability(Task):
    """Mean over the views of 1 - cosine to the anchor."""

    def compute_train_loss(self, batch, model, sample=False):
        h = torch.nn.functional.normalize(model(batch[0]), dim=-1)
        return (1 - (h[:, 0] * h[:, 1]).sum(-1)).sum()

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self):
        return ["0"]


def make_views(n, seed):
    torch.manual_seed(seed)
    scale = 1 / torch.sqrt(torch.arange(1, D + 1, dtype=torch.float32))
    anchor = scale * (torch.randn(n, D) + 1)
    views = torch.stack([anchor, anchor + 0.3 * scale * torch.randn(n, D)], 1)
    return torch.utils.data.TensorDataset(torch.nn.functional.normalize(views, dim=-1))


def run_kronfluence(n):
    model = torch.nn.Sequential(torch.nn.Linear(D, D, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(D))
    train, query = make_views(n, 1), make_views(REFERENCES, 2)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        task = Stability()
        analyzer = Analyzer("block", prepare_model(model, task), task, cpu=True, output_dir=folder,
                            disable_tqdm=True, disable_model_save=True)
        factors = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
        scores = ScoreArguments(aggregate_query_gradients=True)
        start = time.perf_counter()
        analyzer.fit_all_factors("f", train, per_device_batch_size=256, factor_args=factors)
        seconds["fit"] = time.perf_counter() - start
        start = time.perf_counter()
        analyzer.compute_self_scores("s", "f", train, per_device_train_batch_size=256)
        seconds["self"] = time.perf_counter() - start
        start = time.perf_counter()
        analyzer.compute_pairwise_scores("p", "f", query, train, REFERENCES, per_device_train_batch_size=256,
                                         score_args=scores)
        seconds["toward"] = time.perf_counter() - start
    return seconds


def main():
    bench, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    torch.set_num_threads(1)
    ours = subprocess.run([bench, "share", str(D)], check=True, capture_output=True, text=True).stdout.strip()
    print(ours)
    rate = float(ours.split(" us a sample, ")[1].split()[0])
    seconds = run_kronfluence(n)
    total = n / sum(seconds.values())
    print(f"kronfluence/ekfac/d={D} N={n}: " + ", ".join(f"{name} {n / s:.0f}/s" for name, s in seconds.items())
          + f", all {total:.1f} samples/s")
    print(f"samples a second beside kronfluence {rate / total:.0f} x")
    print(f"kronfluence {getattr(kronfluence, '__version__', '')}, torch {torch.__version__}, CPU, one thread; ours "
          "learns, refreshes its basis and steps its adapter in that time as well, and keeps percentiles; "
          "kronfluence does any layer and all pairs")


if __name__ == "__main__":
    main()
