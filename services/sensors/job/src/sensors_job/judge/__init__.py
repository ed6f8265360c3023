"""How a message is judged: the fast path by Arrow columns, the other by Spark SQL, rules, baselines."""
