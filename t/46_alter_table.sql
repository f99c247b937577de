-- ALTER TABLE on distributed tables: after every form the shards' catalogs are as the shell's.
SELECT plan(3);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE TABLE a (k int, b text NOT NULL DEFAULT 'x', c numeric CHECK (c > 0), PRIMARY KEY (k));
INSERT INTO a SELECT g, 'b' || g, g FROM generate_series(1, 20) g;
SELECT create_distributed_table('a', 'k');
SELECT is_empty($$SELECT t.shard_differences('a')$$, 'shards are as their shell');
SELECT is((SELECT count(*)::int FROM run_command_on_shards('a', 'ALTER TABLE %s ALTER c SET NOT NULL')), 4);
SELECT is((SELECT count(*)::int FROM t.shard_differences('a')), 8, 'and a difference is seen');
SELECT finish();
