from crmkit.churn import backtest as backtest
