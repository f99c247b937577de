-- Partitioned tables.
SELECT plan(1);
SELECT t.add_nodes();

-- local ones beside distributed tables
CREATE TABLE plain (k int PRIMARY KEY, v int);
SELECT create_distributed_table('plain', 'k');
INSERT INTO plain SELECT i, i FROM generate_series(1, 20) i;
CREATE TABLE local_events (k int, day date) PARTITION BY RANGE (day);
CREATE TABLE local_events_1 PARTITION OF local_events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE local_events_2 PARTITION OF local_events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO local_events SELECT i, '2024-01-01'::date + i * 2 FROM generate_series(1, 20) i;
SELECT results_eq($$SELECT count(*), sum(v) FROM plain JOIN local_events USING (k) WHERE day >= '2024-02-01'$$,
                  $$VALUES (5::bigint, 90::bigint)$$, 'a join of a distributed and a local partitioned table');

SELECT finish();
