"""Packs servers onto hosts of one kind by CP-SAT of OR-tools: {rows: [[need at each column]], capacity: [of each column], hosts,
seconds, workers} on standard input, {hosts, bound, seconds} on standard output."""

import json
import sys

from ortools.sat.python import cp_model

problem = json.load(sys.stdin)
rows, capacity, hosts = problem["rows"], problem["capacity"], problem["hosts"]
model = cp_model.CpModel()
used = [model.new_bool_var("") for _ in range(hosts)]
here = [[model.new_bool_var("") for _ in range(hosts)] for _ in rows]
for server in here:
    model.add_exactly_one(server)
for host in range(hosts):
    for column, most in enumerate(capacity):
        terms = [here[at][host] * row[column] for at, row in enumerate(rows) if row[column]]
        model.add(sum(terms) <= most * used[host])
# Hosts are alike: those with the lower numbers are used first.
for one, next_one in zip(used, used[1:]):
    model.add(one >= next_one)
for at, server in enumerate(here):
    for host in range(at + 1, hosts):
        model.add(server[host] == 0)
model.minimize(sum(used))
solver = cp_model.CpSolver()
solver.parameters.max_time_in_seconds = problem["seconds"]
solver.parameters.num_workers = problem["workers"]
status = solver.solve(model)
found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
print(json.dumps({
    "hosts": round(solver.objective_value) if found else None,
    "bound": int(-(-solver.best_objective_bound // 1)),
    "seconds": round(solver.wall_time, 2),
}))
