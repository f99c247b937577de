#!/usr/bin/perl
# Run the tests and count them; called by scripts/check as an unprivileged user.
#
# run.pl --work DIR [--jobs N] [--all] [--keep] [--only REGEX]...
# DIR/inst has the installed debug build, DIR/tree the tests.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Getopt::Long;
use POSIX ();
use TAP::Parser;
use Time::HiRes qw(time sleep);
use RehouseCluster;

my ($work, $jobs, $all, $keep, @only) = (undef, 2);
GetOptions('work=s' => \$work, 'jobs=i' => \$jobs, 'all' => \$all, 'keep' => \$keep, 'only=s' => \@only)
  or exit 2;
my $tree = "$FindBin::Bin/../..";
$tree = POSIX::getcwd() . "/$tree" unless $tree =~ m{^/};
my $pgxs = "$RehouseServer::BIN/../lib/pgxs/src/test";
$| = 1;

$ENV{REHOUSE_WORK} = $work;
$ENV{REHOUSE_INST} //= "$work/inst";
$ENV{REHOUSE_TEMPLATE} = "$work/template";
$ENV{PGCONNECT_TIMEOUT} = 30;
$ENV{LC_ALL} = 'C.UTF-8';
$ENV{TZ} = 'UTC';
delete @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE PGPASSFILE)};
mkdir "$work/logs";

my %running;    # pid => test
my $live;       # the cluster that suites share
my ($passed, $failed) = (0, 0);
my @failures;

chdir $tree or die "$tree: $!\n";
my @tests = find_tests();
@tests = grep { my $name = $_->{name}; grep { $name =~ /$_/ } @only } @tests if @only;
die "no test matches\n" unless @tests;
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE});
run_all(@tests);
report();
exit($failed ? 1 : 0);

# All test files, those with servers of their own first: they take longest.
sub find_tests
{
	my @found;
	push @found, map { { name => $_, kind => 'perl' } } sort(glob 't/[0-9]*.pl');
	push @found, map { { name => $_, kind => 'perl' } } sort(glob 't/long/*.pl') if $all;
	push @found, map { { name => $_, kind => 'program' } } grep { -f && -x && !/\.\w+$/ } sort(glob 't/unit/[0-9]*');
	push @found, map { { name => $_, kind => 'suite' } } sort(glob 't/[0-9]*.sql');
	push @found, map { { name => $_, kind => 'suite' } } sort(glob 't/long/*.sql') if $all;
	push @found, map { { name => $_, kind => 'isolation' } } sort(glob 't/isolation/specs/*.spec');
	push @found, map { { name => $_, kind => 'regress' } } sort(glob 'sql/*.sql');
	push @found, map { { name => $_, kind => 'program' } } grep { -x } sort(glob 't/static/*') if $all;
	return @found;
}

sub run_all
{
	my @waiting = @_;
	while (@waiting || %running)
	{
		start_test(shift @waiting) while @waiting && keys %running < $jobs;
		for my $pid (keys %running)
		{
			my $test = $running{$pid};
			if (time > $test->{deadline} && !$test->{timed_out})
			{
				$test->{timed_out} = 1;
				kill 'TERM', -$pid;
				$test->{deadline} = time + 20;
			}
			elsif (time > $test->{deadline}) { kill 'KILL', -$pid; }
			next unless waitpid($pid, POSIX::WNOHANG()) == $pid;
			delete $running{$pid};
			end_test($test, $?);
		}
		sleep 0.05;
	}
	return;
}

sub start_test
{
	my ($test) = @_;
	my $label = $test->{name} =~ s{^.*/}{}r =~ s/\.[a-z]+$//r;
	$label =~ s/\W/_/g;
	$test->{log} = "$work/logs/$test->{kind}-$label.log";
	$test->{started} = time;
	$test->{deadline} = time + timeout_of($test->{name});
	my @command = $test->{kind} eq 'perl' ? ($^X, "-I$FindBin::Bin", $test->{name}) : ("./$test->{name}");
	my $shared = $test->{kind} !~ /perl|program/;
	if ($shared)
	{
		$live ||= start_shared_cluster();
		$test->{database} = substr("$test->{kind}_$label", 0, 60);
		@command = command_in_database($test, $label);
		$test->{log_sizes} = [ map { $_->log_size } $live->servers ];
	}
	my $pid = fork // die "fork: $!\n";
	if (!$pid)
	{
		setpgrp 0, 0;
		$SIG{TERM} = 'DEFAULT';
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', $test->{log};
		open STDERR, '>&', \*STDOUT;
		if ($shared) { POSIX::_exit(run_in_database($test, @command)); }
		exec @command or POSIX::_exit(127);
	}
	$running{$pid} = $test;
	return;
}

# In the test's process: with fresh databases of the test's name on all shared servers.  Returns the status.
sub run_in_database
{
	my ($test, @command) = @_;
	if (!eval { $live->make_database($test->{database}); 1 })
	{
		print "Bail out! preparing the database failed: $@";
		return 1;
	}
	my $status = system @command;
	for my $server ($keep ? () : $live->servers)
	{
		eval { $server->query("DROP DATABASE IF EXISTS \"$test->{database}\" WITH (FORCE)", database => 'postgres'); };
	}
	return $status ? $status >> 8 || 1 : 0;
}

# A test may ask for more time in its first lines: "timeout: 600" (seconds).
sub timeout_of
{
	my ($name) = @_;
	open my $file, '<', $name or return 240;
	read $file, my $head, 2000;
	return ($head // '') =~ /^\W*timeout: (\d+)/m ? $1 : 240;
}

sub start_shared_cluster
{
	return RehouseCluster->new(workers => 3, dir => "$work/live", extension => 0,
		coordinator => { max_worker_processes => 200, max_connections => 300,
			shared_preload_libraries => 'pg_stat_statements, rehouse' })->use_template('pgtap');
}

sub command_in_database
{
	my ($test, $label) = @_;
	my $port = $live->coordinator->port;
	my @where = ('-h', '127.0.0.1', '-p', $port, '-U', 'postgres', '-d', $test->{database});
	return ("$RehouseServer::BIN/psql", '-X', '-q', '-A', '-t', '-P', 'pager=off',
		'-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=default',
		(map { ('-v', "port$_=" . ($live->servers)[$_]->port) } 0 .. 3), @where, '-f', $test->{name})
	  if $test->{kind} eq 'suite';

	my $out = "$work/$test->{kind}-$label";
	mkdir $out;
	my $isolation = $test->{kind} eq 'isolation';
	my $outputs = $isolation ? "$out/output_iso" : $out;
	$test->{diffs} = "$outputs/regression.diffs";
	$test->{results} = "$outputs/results/" . ($test->{name} =~ s{^.*/}{}r =~ s/\.[a-z]+$//r) . '.out';
	return (
		$isolation ? "$pgxs/isolation/pg_isolation_regress" : "$pgxs/regress/pg_regress",
		'--inputdir=' . ($isolation ? "$tree/t/isolation" : $tree),
		"--outputdir=$outputs",
		"--bindir=$RehouseServer::BIN", '--use-existing', '--host=127.0.0.1', "--port=$port",
		'--user=postgres', "--dbname=$test->{database}", $test->{name} =~ s{^.*/}{}r =~ s/\.[a-z]+$//r);
}

# Count what it did, and show its output when something went wrong.
sub end_test
{
	my ($test, $status) = @_;
	my $text = slurp($test->{log});
	my ($good, $bad, @reasons) =
	  $test->{kind} =~ /regress|isolation/ ? count_regress($text, $status) : count_tap($text, $status);
	if ($test->{timed_out}) { push @reasons, 'timed out'; $bad ||= 1; }
	$passed += $good;
	$failed += $bad;
	printf "%-44s %-6s %4d test%s %6.1f s\n", $test->{name}, $bad ? 'FAILED' : 'ok', $good + $bad,
	  $good + $bad == 1 ? ' ' : 's', time - $test->{started};
	if ($bad)
	{
		push @failures, "$test->{name}: $bad failed" . (@reasons ? ' (' . join(', ', @reasons) . ')' : '');
		print "    $failures[-1]\n";
		if ($test->{diffs} && -s $test->{diffs}) { $text = slurp($test->{diffs}); }
		elsif ($test->{results}) { $text .= "no expected output; what came is:\n" . slurp($test->{results}); }
		show_output($text);
		show_server_log($test);
	}
	return;
}

sub count_tap
{
	my ($text, $status) = @_;
	my $parser = TAP::Parser->new({ tap => $text });
	my @reasons;
	while (my $line = $parser->next) { push @reasons, $line->as_string if $line->is_bailout; }
	my ($good, $bad) = (scalar $parser->passed, scalar $parser->failed);
	push @reasons, "exit status " . ($status >> 8 || "signal $status") if $status;
	push @reasons, $parser->parse_errors if $parser->parse_errors;
	push @reasons, 'no test ran' if !$good && !$bad && !defined $parser->skip_all;
	$bad ||= 1 if @reasons;
	return ($good, $bad, @reasons);
}

sub count_regress
{
	my ($text, $status) = @_;
	my $good = () = $text =~ /\.\.\. ok /g;
	return (1, 0) if $good == 1 && $status == 0;
	return (0, 1);
}

# The whole output, without the lines of tests that passed, and shortened in the middle.
sub show_output
{
	my @lines = grep { !/^\s*ok \d+/ } split /\n/, $_[0];
	splice @lines, 150, @lines - 200, '[..]' if @lines > 250;
	print map { "    | $_\n" } @lines;
	return;
}

# What the shared servers said about the test's database, or about a crash.
sub show_server_log
{
	my ($test) = @_;
	return unless $test->{log_sizes} && $live;
	my $number = 0;
	for my $server ($live->servers)
	{
		my $log = substr $server->log_text, $test->{log_sizes}[ $number++ ];
		my @lines = grep { /\Q$test->{database}\E (WARNING|FATAL|PANIC)|terminated by signal|TRAP:|PANIC/ } split /\n/, $log;
		splice @lines, 0, @lines - 20 if @lines > 20;
		print map { "    " . $server->name . "> $_\n" } @lines;
	}
	return;
}

sub slurp
{
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

sub report
{
	print "\n", map { "$_\n" } @failures if @failures;
	print "\n$passed passed, $failed failed\n";
	return;
}

END
{
	my $status = $?;
	kill 'TERM', map { -$_ } keys %running if %running;
	my $deadline = time + 15;
	while (%running && time < $deadline)
	{
		for my $pid (keys %running) { delete $running{$pid} if waitpid($pid, POSIX::WNOHANG()) != 0; }
		sleep 0.05;
	}
	kill 'KILL', map { -$_ } keys %running if %running;
	$? = $status;
}
