"""A process that writes random cases: python make_cases.py FIRST_SEED COUNT FOLDER WITH_OPTIMIZER. Prints each seed before it begins with it."""
import pathlib
import pickle
import sys

import generator
import harness


def main(first, count, folder, with_optimizer):
    for seed in range(int(first), int(first) + int(count)):
        print(seed, flush=True)
        case = generator.generate(seed)
        if case is None:
            continue
        if int(with_optimizer):
            case.optimizer_differs = generator.optimizer_differs(case)
        target = pathlib.Path(folder) / f"seed_{seed}"
        harness.write_case(target, case)
        (target / "case.pickle").write_bytes(pickle.dumps(case))


if __name__ == "__main__":
    main(*sys.argv[1:])
