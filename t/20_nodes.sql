-- Nodes: added, looked at, changed, asked, removed; bad input changes nothing.
SELECT plan(60);

CREATE FUNCTION add(number int) RETURNS int LANGUAGE sql AS $$ SELECT citus_add_node(t.host(), t.port($1)) $$;

-- an empty cluster
SELECT is_empty('SELECT * FROM citus_get_active_worker_nodes()', 'no nodes at first');
SELECT is_empty('SELECT * FROM citus_nodes', 'nor in the view');

-- bad input
SELECT throws_ok($$SELECT citus_add_node(NULL, 5432)$$, '22004', NULL, 'a NULL name');
SELECT throws_ok($$SELECT citus_add_node('localhost', NULL)$$, '22004', NULL, 'a NULL port');
SELECT throws_ok($$SELECT citus_add_node('', 5432)$$, '22023', NULL, 'an empty name');
SELECT throws_ok($$SELECT citus_add_node('localhost', 0)$$, '22023', '0 is not a valid port number', 'port 0');
SELECT throws_ok($$SELECT citus_add_node('localhost', 70000)$$, '22023', NULL, 'port 70000');
SELECT throws_ok($$SELECT citus_add_node(repeat('x', 300), 5432)$$, '22023', NULL, 'a name that is too long');
SELECT throws_ok($$SELECT citus_add_node('127.0.0.1', 1)$$, '08001', 'could not connect to node "127.0.0.1:1"', 'nobody listens there');
SELECT throws_ok($$SELECT citus_add_node('no-such-host.invalid', 5432)$$, '08001', NULL, 'no such host');
SELECT throws_ok($$SELECT citus_add_node('127.0.0.1', 1, noderole => 'secondary')$$, '0A000', NULL, 'standbys are not added');
SELECT throws_ok($$SELECT citus_add_node('127.0.0.1', 1, nodecluster => 'other')$$, '0A000', NULL, 'nor other clusters');
SELECT is((SELECT count(*) FROM rehouse.nodes), 0::bigint, 'nothing has been changed by all that');

-- adding
SELECT is(add(1), 1, 'the first node');
SELECT is(add(1), 1, 'twice is no harm: scripts add their nodes whenever they run');
SELECT is(citus_add_inactive_node(t.host(), t.port(1)), 1, 'nor is it added as an inactive one, as which it does not count then');
SELECT throws_ok('SELECT rehouse.add_reserved_node(t.host(), t.port(1))', '42710', NULL, 'but it is no reserved one');
SELECT is(citus_add_inactive_node(t.host(), t.port(2)), 2, 'an inactive one');
SELECT is(add(2), 2, 'which is there now, too');
SELECT is((SELECT isactive FROM pg_dist_node WHERE nodeid = 2), false, 'and stays inactive');
SELECT throws_ok($$SELECT citus_set_coordinator_host('localhost', 5432, 'secondary')$$, '0A000', NULL, 'the coordinator is a primary');
SELECT results_eq('SELECT * FROM citus_get_active_worker_nodes()',
                  'SELECT t.host(), t.port(1)::bigint', 'only active nodes are shown as such');
SELECT results_eq('SELECT * FROM master_get_active_worker_nodes()',
                  'SELECT t.host(), t.port(1)::bigint', 'by the older name, too');
SELECT results_eq('SELECT * FROM citus_nodes ORDER BY nodeport = t.port(2)',
                  $$VALUES (t.host(), t.port(1), 'worker', true), (t.host(), t.port(2), 'worker', false)$$, 'citus_nodes shows both');
SELECT is(citus_activate_node(t.host(), t.port(2)), 2, 'activated');
SELECT is(citus_activate_node(t.host(), t.port(2)), 2, 'twice is no harm');
SELECT is((SELECT count(*) FROM citus_get_active_worker_nodes()), 2::bigint, 'two now');
SELECT is(rehouse.add_reserved_node(t.host(), t.port(3)), 3, 'a reserved one');
SELECT throws_ok('SELECT add(3)', '42710', NULL, 'which is not added as an ordinary one');
SELECT results_eq('SELECT node_id, is_reserved FROM rehouse.nodes ORDER BY 1',
                  $$VALUES (1, false), (2, false), (3, true)$$, 'which is noted');
SELECT is(t.on_node(1, 'SELECT cluster_id FROM rehouse.owner'), (SELECT cluster_id::text FROM rehouse.cluster), 'the node knows whose it is');
SELECT is(t.on_node(2, 'SELECT cluster_id FROM rehouse.owner'), (SELECT cluster_id::text FROM rehouse.cluster), 'the activated one as well');

-- in a transaction that is rolled back
SELECT lives_ok('SELECT citus_remove_node(t.host(), t.port(3))', 'an empty node can be removed');
SELECT is(t.on_node(3, $$SELECT to_regnamespace('rehouse') IS NULL$$), 'true', 'nothing of ours is left there');
BEGIN;
SELECT is(add(3), 4, 'added again, with a new id');
ROLLBACK;
SELECT is((SELECT count(*) FROM rehouse.nodes), 2::bigint, 'rolled back here');
SELECT is(t.on_node(3, $$SELECT to_regnamespace('rehouse') IS NULL$$), 'true', 'and there');
DO $$
BEGIN
    PERFORM add(3);
    RAISE EXCEPTION 'no';
EXCEPTION WHEN raise_exception THEN
    PERFORM add(3);
END $$;
SELECT is((SELECT count(*) FROM rehouse.nodes), 3::bigint, 'added in the handler of the exception that took it away');
SELECT is(t.on_node(3, 'SELECT count(*) FROM rehouse.owner'), '1', 'and so on the node');

-- use in the transaction that adds
SELECT lives_ok('SELECT citus_remove_node(t.host(), t.port(3))', 'removed again');
BEGIN;
SELECT add(3) > 0;
CREATE TABLE early (k int PRIMARY KEY);
SELECT create_distributed_table('early', 'k', shard_count => 6);
COMMIT;
SELECT is((SELECT count(DISTINCT node_id) FROM rehouse.placement_map), 3::bigint, 'tables distributed in the same transaction use the node');

-- properties
SELECT throws_ok($$SELECT citus_set_node_property(t.host(), t.port(1), 'colour', true)$$, '22023', NULL, 'an unknown property');
SELECT lives_ok($$SELECT citus_set_node_property(t.host(), t.port(1), 'shouldhaveshards', false)$$, 'a known one');
SELECT results_eq($$SELECT nodename, nodeport, shouldhaveshards, isactive FROM pg_dist_node WHERE nodeid = 1$$,
                  'SELECT t.host(), t.port(1), false, true', 'is seen in pg_dist_node');

-- with shards
SELECT throws_ok($$SELECT citus_remove_node(t.host(), t.port(1))$$, '55006', NULL, 'a node that holds shards is not removed');
SELECT throws_ok($$SELECT citus_disable_node(t.host(), t.port(1))$$, '55006', NULL, 'nor disabled');
SELECT throws_ok($$SELECT citus_remove_node('127.0.0.1', 1)$$, '42704', 'node "127.0.0.1:1" does not exist', 'an unknown node');
DROP TABLE early;
SELECT lives_ok($$SELECT citus_disable_node(t.host(), t.port(1))$$, 'an empty one is disabled');
SELECT is((SELECT count(*) FROM citus_get_active_worker_nodes()), 2::bigint, 'and not among the active ones');
SELECT is(citus_activate_node(t.host(), t.port(1)), 1, 'and comes back');

-- moving a node's address
SELECT throws_ok($$SELECT citus_update_node(1, t.host(), t.port(2))$$, '42710', NULL, 'an address that is taken');
SELECT throws_ok($$SELECT citus_update_node(77, t.host(), t.port(2))$$, '42704', NULL, 'no such node');
SELECT throws_ok($$SELECT citus_update_node(1, 'localhost', t.port(1), lock_cooldown => -1)$$, '22023', 'lock_cooldown must not be negative');
SELECT lives_ok($$SELECT citus_update_node(1, 'localhost', t.port(1))$$, 'the same server by another name');

-- asking
SELECT results_eq($$SELECT nodename, success, result FROM run_command_on_workers('SELECT 7') ORDER BY nodename, nodeport = t.port(3)$$,
                  $$VALUES (t.host(), true, '7'), (t.host(), true, '7'), ('localhost', true, '7')$$, 'a command on all');
SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_workers('SELECT 1/0', parallel => false)$$,
                  $$VALUES (false, 'ERROR:  division by zero')$$, 'its error is a result');
SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_workers('SELECT 1, 2 FROM generate_series(1, 3)')$$,
                  $$VALUES (false, 'ERROR:  the command has been run, and its result is 3 rows of 2 columns, not a single value')$$, 'a result that is not one value is not cut off in silence');
SELECT is((SELECT bool_and(result) FROM citus_check_cluster_node_health()), true, 'all nodes answer');
SELECT is(citus_check_connection_to_node('127.0.0.1', 1), false, 'and this one does not');
SELECT matches(citus_version(), '^rehouse \d+\.\d+ on PostgreSQL 15', 'the version');

CALL t.wait_clean();
SELECT finish();
