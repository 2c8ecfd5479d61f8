"""Print the main figures of all records of a benchmark, the oldest first."""

from benchmarks.page import history


def add_arguments(parser):
    parser.add_argument("names", nargs="*", help="benchmarks; all with several records by default")


def run(args):
    print("\n\n".join(history(args.names)))
