-- Showing what goes to the nodes: rehouse.log_remote_commands, rehouse.multi_tenant_query_log_level, and their documented names.
SELECT plan(11);
SELECT t.add_nodes(1, 1);
CREATE TABLE a (k int PRIMARY KEY, v int);
CREATE TABLE ref (k int PRIMARY KEY);
SELECT create_distributed_table('a', 'k', shard_count => 2);
SELECT create_reference_table('ref');
SET citus.multi_task_query_log_level = 'error';
SELECT throws_ok('SELECT count(*) FROM a', '0A000', 'multi-task query about to be executed');
SELECT throws_ok('UPDATE a SET v = 1', '0A000', 'multi-task query about to be executed');
SELECT throws_ok('SELECT * FROM a WHERE k IN (1, 2)', '0A000', 'multi-task query about to be executed');
SELECT lives_ok('SELECT * FROM a WHERE k = 1', 'a query of one tenant');
SELECT lives_ok('SELECT * FROM a JOIN ref USING (k) WHERE k = 1', 'with a reference table');
SELECT lives_ok('SELECT * FROM ref', 'or without a distributed one');
SELECT lives_ok('INSERT INTO a VALUES (1, 1)');
SET citus.multi_task_query_log_level = 'off';
SELECT lives_ok('SELECT count(*) FROM a');
SET rehouse.multi_tenant_query_log_level = 'error';
SELECT throws_ok('SELECT count(*) FROM a', '0A000', 'multi-task query about to be executed', 'by our own name');
RESET rehouse.multi_tenant_query_log_level;

-- what is shown is in the regress test 49_remote_log; here, that nothing breaks
SET citus.log_remote_commands = on;
SELECT lives_ok('SELECT * FROM a WHERE k = 1');
SELECT lives_ok('DO $$ BEGIN UPDATE a SET v = 2; ALTER TABLE a ADD COLUMN w int; END $$');
RESET citus.log_remote_commands;
SELECT finish();
