from crmkit.repurchase import backtest as backtest
