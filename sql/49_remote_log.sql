-- What citus.log_remote_commands shows.
\set VERBOSITY terse
SELECT count(*) FROM t.add_nodes(1, 1);
CREATE TABLE a (k int PRIMARY KEY, v int);
SELECT create_distributed_table('a', 'k', shard_count => 1);
SET citus.log_remote_commands = on;
SELECT * FROM a WHERE k = 1;
SELECT * FROM a WHERE k = 1;
INSERT INTO a VALUES (1, 2);
RESET citus.log_remote_commands;
SET rehouse.multi_tenant_query_log_level = 'notice';
SELECT count(*) FROM a;
