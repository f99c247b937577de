-- The harness itself, and that the extension is there.
SELECT plan(6);

SELECT has_extension('rehouse');
SELECT is((SELECT count(*)::int FROM t.servers), 4, 'a coordinator and three workers');
SELECT is(t.on_node(2, 'SELECT current_database()'), current_database()::text, 'the same database on a worker');
SELECT results_eq($$SELECT t.rows_on_node(1, 'SELECT 1, ''a'' UNION ALL SELECT 2, ''b''')$$,
                  $$VALUES ('(1,a)'), ('(2,b)')$$, 'rows from a worker');
CALL t.wait_until('SELECT true');
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT matches((SELECT extversion FROM pg_extension WHERE extname = 'rehouse'), '^[0-9.]+$', 'it has a version');

SELECT finish();
