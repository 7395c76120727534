from crmkit.evaluation import value as value
