"""The stories the ``handful`` command tells: collect, pretrain, train, evaluate, report, bench, demo."""
