"""Print the main figures from all records of a benchmark, oldest first."""

from benchmarks.page import history


def add_arguments(parser):
    parser.add_argument("names", nargs="*", help="benchmarks (default: all with several records)")


def run(args):
    print("\n\n".join(history(args.names)))
