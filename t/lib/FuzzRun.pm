package FuzzRun;

# Runs what Fuzz makes on a cluster and on a plain server and compares.

use strict;
use warnings;
use Time::HiRes 'time';
use Test::More;
use RehouseCluster;
use Differential;
use Fuzz;

my ($cluster, @sessions, @fresh, %refused, %sample, $count, $errors, $differ, $in_transaction, $moves, %states);

sub both { $_->query($_[0]) for @sessions; return; }

# Run on the cluster, then, unless refused, on the plain server.  False: refused.
sub run
{
	my ($sql, %about) = @_;
	$count++;
	my $ours = Differential::run_statement($sessions[0], $sql);
	if ($ours->{state} eq 'lost')
	{
		$differ++;
		fail('the connection lives');
		diag("lost:\n$sql\n$ours->{messages}" . substr($cluster->coordinator->log_text, -3000));
		die "connection lost\n";
	}
	if ($ours->{state} eq '0A000' && $ours->{messages} !~ /is not allowed/)
	{
		my ($why) = $ours->{messages} =~ /^ERROR:\s+(.*)/m;
		$why =~ s/"[^"]*"/"..."/g;
		my ($hint) = $ours->{messages} =~ /^DETAIL:\s+(.*)/m;
		$why .= " / $hint" if $hint;
		$refused{$why}++;
		$sample{$why} //= $sql;
		return 0;
	}
	my $theirs = Differential::run_statement($sessions[1], $sql);
	my ($a, $b) = map { my $rows = $_->{rows}; $about{ordered} ? $rows : Differential::sorted($rows) } $ours, $theirs;
	if ($theirs->{state} ne '00000')
	{
		$errors++;
		$states{$theirs->{state} . ' ' . (($theirs->{messages} =~ /^ERROR:\s+\w+: (.*)/m)[0] // '') =~ s/"[^"]*"/".."/gr}++;
	}
	return 1 if $ours->{state} eq $theirs->{state} && $a eq $b && ($ours->{count} == $theirs->{count} || $about{no_count});
	# rows that an outer join may lack can be locked here
	return 0 if $theirs->{state} eq '0A000';
	# several constraints may be violated at once, or a row proposed twice
	return 1 if $ours->{state} =~ /^23/ && $theirs->{state} =~ /^(?:23|21000)/;
	$differ++;
	fail('same result');
	diag("$sql;");
	for my $side ([ cluster => $ours ], [ plain => $theirs ])
	{
		diag("$side->[0]: $side->[1]{state}, $side->[1]{count} rows\n$side->[1]{messages}" . substr(Differential::sorted($side->[1]{rows}), 0, 700));
	}
	if (!$about{change} && $ENV{REHOUSE_FUZZ_EXPLAIN})
	{
		diag(join "\n", ($sessions[0]->try("EXPLAIN (VERBOSE, COSTS OFF) $sql"))[0]);
	}
	return 0;
}

sub compare_contents
{
	for my $table (sort keys %Fuzz::tables)
	{
		my ($a, $b) = map { Differential::sorted($_->query("SELECT t::text FROM $table t")) } @sessions;
		next if $a eq $b;
		$differ++;
		fail("contents of $table");
		diag("cluster:\n$a\nplain:\n$b");
		$sessions[0]->try('ROLLBACK');
		$sessions[1]->try('ROLLBACK');
		both($Fuzz::fill);
	}
	return;
}

# One statement with parameters, eight times.
sub run_prepared
{
	my ($statement) = @_;
	my ($text, @values) = Fuzz::parameters($statement->{text}, sub { "\$$_[0]" });
	my $types = @values ? '(' . join(', ', map { 'int' } @values) . ')' : '';
	my $mode = Fuzz::pick('auto', 'force_custom_plan', 'force_generic_plan');
	both("SET plan_cache_mode = $mode");
	$text = "PREPARE p$types AS " . Fuzz::literal($text);
	my $before = $differ;
	my $good = run($text);
	for (1 .. 8)
	{
		last if !$good;
		$good = run('EXECUTE p' . (@values ? '(' . join(', ', @values) . ')' : ''), %$statement);
		@values = Fuzz::vary(@values);
	}
	diag("  .. of ($mode) $text") if $differ > $before;
	$_->try('DEALLOCATE p') for @sessions;
	return $good;
}

# One statement in a function, with arguments that vary.
sub run_function
{
	my ($statement) = @_;
	my ($text, @values) = Fuzz::parameters($statement->{text}, sub { "p$_[0]" });
	$text = Fuzz::literal($text);
	my $arguments = join ', ', map { "p$_ int" } 1 .. @values;
	my $body;
	if ($statement->{rows} && !$statement->{change})
	{
		$body = "RETURNS SETOF text LANGUAGE plpgsql AS \$f\$ DECLARE r record; BEGIN FOR r IN $text LOOP RETURN NEXT r::text; END LOOP; END \$f\$";
	}
	else
	{
		$body = "RETURNS bigint LANGUAGE plpgsql AS \$f\$ DECLARE n bigint; r record; BEGIN "
		  . ($statement->{rows} ? "n = 0; FOR r IN EXECUTE 'SELECT 1' LOOP $text INTO r; END LOOP; " : "$text; ") =~ s/INTO r;/;/r
		  . "GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END \$f\$";
		return run_prepared($statement) if $statement->{rows};
	}
	both("CREATE OR REPLACE FUNCTION pg_temp.f($arguments) $body");
	my $good = 1;
	my $before = $differ;
	for (1 .. 6)
	{
		$good = $good && run('SELECT pg_temp.f(' . join(', ', @values) . ')', %$statement, change => 1);
		last if !$good;
		@values = Fuzz::vary(@values);
	}
	diag("  .. with $body") if $differ > $before;
	both("DROP FUNCTION pg_temp.f($arguments)");
	return $good;
}

sub run_transaction
{
	both('BEGIN' . Fuzz::pick('', '', ' ISOLATION LEVEL REPEATABLE READ'));
	my $depth = 0;
	for (1 .. 3 + int rand 5)
	{
		my $what = rand;
		if ($what < 0.15) { $depth++; last unless run("SAVEPOINT s$depth"); }
		elsif ($what < 0.3 && $depth) { my $to = 1 + int rand $depth; last unless run("ROLLBACK TO s$to"); $depth = $to; }
		elsif ($what < 0.35 && $depth) { my $to = $depth--; last unless run("RELEASE s$to"); }
		else
		{
			my $statement = Fuzz::statement(0.6);
			last unless run(Fuzz::literal($statement->{text}), %$statement);
		}
	}
	my $end = Fuzz::pick('COMMIT', 'COMMIT', 'ROLLBACK');
	$end = 'ROLLBACK' if ($sessions[0]->try('SELECT 1'))[1] ne ($sessions[1]->try('SELECT 1'))[1];
	$_->try($end) for @sessions;
	return;
}

sub move_bucket
{
	my $moved = eval {
		my ($shard, $from, $to) = split /\|/, $sessions[0]->query(
			"SELECT shardid, nodeport, (SELECT n.nodeport FROM pg_dist_node n WHERE n.nodeport <> s.nodeport AND n.nodeport IN (SELECT nodeport FROM citus_shards WHERE citus_table_type = 'distributed') LIMIT 1)
			 FROM citus_shards s WHERE citus_table_type = 'distributed' ORDER BY random() LIMIT 1");
		$sessions[0]->query("SELECT citus_move_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to)");
		1;
	};
	diag($@) unless $moved;
	$moves++ if $moved;
	return;
}

# run_fuzz(seed, statements, seconds)
sub run_fuzz
{
	my ($seed, $statements, $seconds) = @_;
	$cluster = RehouseCluster->new(workers => 2)->add_nodes;
	$cluster->worker(1)->query('CREATE DATABASE plain');
	@sessions = ($cluster->coordinator->session, $cluster->worker(1)->session(database => 'plain'));
	both("$Fuzz::schema");
	$sessions[0]->query($Fuzz::distribute);
	both($Fuzz::fill);
	note("seed $seed");
	srand($seed);
	my $end = time + $seconds;
	($count, $errors, $differ, $moves) = (0, 0, 0, 0);
	my $before = 0;
	for (my $round = 1; $count < $statements && time < $end && $differ < 12; $round++)
	{
		my $way = rand;
		if ($differ > $before)
		{
			$_->try('ROLLBACK') for @sessions;
			both($Fuzz::fill);
			$before = $differ;
		}
		if ($round % 60 == 0) { compare_contents(); both($Fuzz::fill); }
		if ($way < 0.01) { move_bucket(); next; }
		if ($way < 0.1) { run_transaction(); next; }
		my $statement = Fuzz::statement(0.3);
		if ($way < 0.22) { run_prepared($statement); }
		elsif ($way < 0.3) { run_function($statement); }
		else { run(Fuzz::literal($statement->{text}), %$statement); }
	}
	compare_contents();
	note("$count statements, $errors of them errors on both, $moves moves");
	note("error $states{$_} times: $_") for sort { $states{$b} <=> $states{$a} } keys %states;
	note("refused $refused{$_} times: $_\n  $sample{$_}") for sort { $refused{$b} <=> $refused{$a} } keys %refused;
	ok(!$differ, "$count statements do the same on the cluster and on a plain server (seed $seed)");
	my $all = 0;
	$all += $_ for values %refused;
	cmp_ok($all, '<', $count / 4, 'not many are refused');
	return;
}

1;
