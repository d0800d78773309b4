"""The stories the command tells: collect, pretrain, train, evaluate, report, bench, demo."""
