# COPY TO of distributed tables: the same bytes as from a plain server, in all
# formats; and what was copied out can be copied in.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
my $plain = $cluster->worker(1);
$plain->query('CREATE DATABASE plain', database => 'postgres');
my $schema = <<'SQL';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id int, gone int, k mood, n numeric, at timestamptz, x text, b bytea, up text GENERATED ALWAYS AS (upper(x)) STORED, "Odd ""n" int[]);
ALTER TABLE t DROP COLUMN gone;
CREATE TABLE other (id int PRIMARY KEY, v text);
SQL
my $data = <<'SQL';
INSERT INTO t (id, k, n, at, x, b, "Odd ""n") SELECT i, CASE WHEN i % 3 > 0 THEN 'ok' ELSE 'sad' END::mood, i / 7.0, '2024-01-01 00:00+00'::timestamptz + i * interval '1 hour',
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN E'tab\tand\nline' WHEN 2 THEN 'quote"d, \N' ELSE 'plain' END, ('\x00ff'::bytea || i::text::bytea), ARRAY[i, NULL]
FROM generate_series(1, 500) i;
INSERT INTO other SELECT i, 'v' || i FROM generate_series(1, 100) i;
SQL
$c->query($schema . $data);
$plain->query($schema . $data, database => 'plain');
$c->query("SELECT create_distributed_table('t', 'id', shard_count := 8); SELECT create_distributed_table('other', 'id', colocate_with := 't')");

sub sorted { return join "\n", sort split /\n/, $_[0] }

# the output of a COPY .. TO STDOUT on both, in any order of lines
sub same
{
	my ($copy, $name) = @_;
	my ($ours) = ($c->try($copy))[1];
	my ($theirs) = ($plain->try($copy, database => 'plain'))[1];
	is(sorted($ours), sorted($theirs), $name);
	return;
}

same('COPY t TO STDOUT', 'text');
same('COPY t (x, id, k) TO STDOUT', 'some columns, in another order');
same('COPY t TO STDOUT (FORMAT csv, HEADER, DELIMITER \';\', NULL \'nil\', FORCE_QUOTE (x))', 'csv with all its options');
same('COPY t ("Odd ""n") TO STDOUT CSV HEADER', 'a name to be quoted');
same('COPY (SELECT id, x FROM t WHERE id < 50 ORDER BY id) TO STDOUT', 'a query');
same('COPY (SELECT count(*), sum(n) FROM t JOIN other USING (id)) TO STDOUT', 'a query with a join');

is($c->query('SELECT count(*) FROM t'), '500', 'nothing was changed');
for my $case (
	[ 'COPY t (up) TO STDOUT', '42P10', 'a generated column' ],
	[ 'COPY t (nope) TO STDOUT', '42703', 'an unknown column' ],
	[ 'COPY t (id, id) TO STDOUT', '42701', 'a column twice' ],
	[ 'COPY t TO STDOUT WHERE id = 1', '42601', 'WHERE' ])
{
	my ($copy, $state, $name) = @$case;
	like(($c->try($copy))[2], qr/\b$state\b/, "$name is an error");
	like(($plain->try($copy, database => 'plain'))[2], qr/\b$state\b/, 'as on a plain server');
}

# out to a file and in again, binary and text, into a table distributed otherwise
my $file = $cluster->dir . '/copy.data';
for my $format ('binary', 'text', 'csv')
{
	my $columns = 'id, k, n, at, x, b, "Odd ""n"';
	$c->query("CREATE TABLE back (LIKE t INCLUDING GENERATED); SELECT create_distributed_table('back', 'k', shard_count := 4, colocate_with := 'none')");
	my ($status, $rows, $messages) = $c->try("\\unset QUIET\nCOPY t ($columns) TO '$file' ($format); COPY back ($columns) FROM '$file' ($format)" =~ s/\((binary|text|csv)\)/(FORMAT $1)/gr);
	is($rows, "COPY 500\nCOPY 500", "$format: out to a file and in again");
	is($c->query('SELECT count(*), sum(n), count(x), min(at), count(DISTINCT up), sum("Odd ""n"[1]) FROM back'),
		$plain->query('SELECT count(*), sum(n), count(x), min(at), count(DISTINCT up), sum("Odd ""n"[1]) FROM t', database => 'plain'), 'with the same contents');
	$c->query('DROP TABLE back');
	unlink $file;
}

# a block: own rows are seen, the table's shell is not
my $s = $c->session;
$s->query("BEGIN; INSERT INTO other VALUES (1000, 'mine')");
like($s->query("COPY other TO STDOUT"), qr/^1000\tmine$/m, 'a transaction copies its own rows');
$s->query('ROLLBACK');
unlike($c->query('COPY other TO STDOUT'), qr/^1000/m, 'which are gone afterwards');

# psql's \copy, both ways
open my $out, '>', "$file.in" or die;
print $out join('', map { "$_\tin$_\n" } 2001 .. 2100);
close $out;
$c->query("\\copy other FROM '$file.in'");
is($c->query("SELECT count(*) FROM other WHERE v LIKE 'in%'"), '100', '\copy from');
$c->query("\\copy (SELECT v FROM other WHERE id > 2050) TO '$file.out'");
is(`wc -l < '$file.out'` + 0, 50, '\copy to');

# a copy in that fails on one node leaves nothing on any
my ($status, $rows, $messages) = $c->try("COPY other FROM PROGRAM 'seq 5000 6000 | sed \"s/\$/\\tx/\"; echo \"1\tdouble\"'");
like($messages, qr/23505.*CONSTRAINT NAME:\s+other_pkey/s, 'a violated key names its constraint');
is($c->query('SELECT count(*) FROM other WHERE id >= 5000'), '0', 'nothing of it stays');
is(join(' ', map { $_->query('SELECT count(*) FROM pg_prepared_xacts') } $cluster->workers), '0 0', 'no branch either');

# a session that ends in the middle of its COPY, rows of it being on the nodes
my $before = $c->query('SELECT count(*) FROM other');
my $sessions = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'";
open my $client, '|-', "$RehouseServer::BIN/psql", '-X', '-q', '-h', '127.0.0.1', '-p', $c->port, '-U', 'postgres', '-d', 'app',
	'-c', 'SET rehouse.copy_buffer_size = \'64kB\'', '-c', 'COPY other FROM STDIN' or die;
{
	local $SIG{PIPE} = 'IGNORE';
	print $client map { "$_\tx\n" } 100_000 .. 150_000;
	$client->flush;
	$c->poll("SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE relid = 'other'::regclass AND tuples_processed > 40000");
	cmp_ok($cluster->worker(1)->query("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE relname = 'other'"), '>', 0,
		'the nodes are in its transaction');
	$c->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%FROM STDIN'");
	close $client;
}
isnt($?, 0, 'its client is told');
$_->poll("SELECT count(*) = 0 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE relname = 'other'") for $cluster->workers;
is($c->query('SELECT count(*) FROM other'), $before, 'nothing of it stays');

done_testing();
