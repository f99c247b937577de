package RehouseServer;

# One PostgreSQL server on loopback, for tests and the demo: start, stop, kill,
# ask.  Made by RehouseCluster.

use strict;
use warnings;
use Fcntl qw(O_CREAT O_EXCL O_WRONLY);
use IO::Socket::INET;
use IPC::Open3;
use POSIX ();
use Symbol 'gensym';
use Time::HiRes qw(time sleep);
use RehouseSession;

our $BIN = $ENV{REHOUSE_PGBIN} || '/usr/lib/postgresql/15/bin';
our $HOST = '127.0.0.1';
our $TEMPLATE_DATABASE = 'app';    # every server has it from the beginning
my $next_port;

# new(name =>, dir =>, conf => {setting => value}): the data directory is made
# by init.
sub new
{
	my ($class, %args) = @_;
	return bless { name => $args{name}, dir => $args{dir}, conf => $args{conf} || {} }, $class;
}

sub name { $_[0]{name} }
sub host { $HOST }
sub port { $_[0]{port} }
sub datadir { $_[0]{dir} }
sub logfile { $_[0]{dir} . '.log' }

# A port that nobody listens on, and that is not the one of a server that is down for a moment, in a test beside us.  REHOUSE_PORTS=21350-21399 gives the range.
sub free_port
{
	my ($first, $last) = split /-/, ($ENV{REHOUSE_PORTS} || '24000-31999');
	$next_port //= $first + int(rand($last - $first + 1));
	for (0 .. $last - $first)
	{
		my $port = $next_port++;
		$next_port = $first if $next_port > $last;
		my $socket = IO::Socket::INET->new(
			LocalAddr => $HOST, LocalPort => $port, Proto => 'tcp', Listen => 1, ReuseAddr => 1);
		next unless $socket;
		close $socket;
		return $port if claim_port($port);
	}
	die "no free port between $first and $last\n";
}

# Is the port ours, of all tests of this run?  Until release_port.
sub claim_port
{
	my ($port) = @_;
	my $dir = $ENV{REHOUSE_WORK} or return 1;
	mkdir "$dir/ports";
	return sysopen my $file, "$dir/ports/$port", O_CREAT | O_EXCL | O_WRONLY;
}

# The server will not be started any more.
sub release_port
{
	my ($self) = @_;
	unlink "$ENV{REHOUSE_WORK}/ports/$self->{port}" if $ENV{REHOUSE_WORK} && $self->{port};
	return;
}

# Copy the run's initdb template into our directory.
sub init
{
	my ($self) = @_;
	my $template = $ENV{REHOUSE_TEMPLATE} or die "REHOUSE_TEMPLATE is not set\n";
	system('cp', '-a', '--reflink=auto', $template, $self->{dir}) == 0
	  or die "could not copy $template\n";
	return $self;
}

# Make the initdb template, once for a run.  Its size is what the start of a server costs.
sub make_template
{
	my ($dir) = @_;
	my $out = `'$BIN/initdb' --no-sync -A trust -U postgres -E UTF8 --locale=C.UTF-8 --wal-segsize=4 -D '$dir' 2>&1`;
	die "initdb failed:\n$out" if $?;
	$out = `echo 'CREATE DATABASE "$TEMPLATE_DATABASE"' | '$BIN/postgres' --single -F -D '$dir' template1 2>&1`;
	die "making the template's database failed:\n$out" if $?;
	open my $conf, '>>', "$dir/postgresql.conf" or die "$dir/postgresql.conf: $!\n";
	print $conf <<'CONF';
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
synchronous_commit = on
shared_buffers = 64MB
max_connections = 200
max_wal_senders = 40
max_replication_slots = 40
max_prepared_transactions = 100
max_worker_processes = 64
wal_level = logical
wal_sender_timeout = 60s
max_wal_size = 4GB
restart_after_crash = on
logging_collector = off
log_line_prefix = '%m [%p] %q%a %d '
log_autovacuum_min_duration = -1
autovacuum_naptime = 10s
lc_messages = 'C'
timezone = 'UTC'
CONF
	close $conf;
	open my $hba, '>', "$dir/pg_hba.conf" or die;
	print $hba "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
	close $hba;
	return $dir;
}

# Start the process; finish_start waits until it answers.
sub begin_start
{
	my ($self) = @_;
	$self->{port} //= free_port();
	my %conf = (%{ $self->{conf} }, port => $self->{port});
	my @options = map { ('-c', "$_=$conf{$_}") } sort keys %conf;
	my $pid = fork // die "fork: $!\n";
	if (!$pid)
	{
		POSIX::setsid();
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $self->logfile;
		open STDERR, '>&', \*STDOUT;
		{ exec "$BIN/postgres", '-D', $self->{dir}, @options; }
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	return $self;
}

# Wait until it answers; takes another port when somebody was quicker.
sub finish_start
{
	my ($self) = @_;
	for my $try (1 .. 5)
	{
		$self->begin_start if $try > 1;
		return $self if $self->wait_ready;
		my $log = $self->log_text;
		die "could not start $self->{name}:\n" . substr($log, -4000)
		  unless $log =~ /Address already in use/ && !$self->{started_once} && $try < 5;
		$self->{port} = undef;
	}
}

sub start { return $_[0]->begin_start->finish_start; }

# Wait until the server takes connections.  False: its process has ended.
sub wait_ready
{
	my ($self, $timeout) = @_;
	my $deadline = time + ($timeout || 60);
	while (time < $deadline)
	{
		if (open my $file, '<', "$self->{dir}/postmaster.pid")
		{
			my @lines = <$file>;
			if (@lines >= 8 && $lines[0] == $self->{pid} && $lines[7] =~ /^ready/)
			{
				$self->{started_once} = 1;
				return 1;
			}
		}
		return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
		sleep 0.02;
	}
	die "$self->{name} did not become ready\n";
}

# stop('fast'|'immediate'|'smart')
sub stop
{
	my ($self, $mode) = @_;
	return $self unless $self->{pid};
	my $signal = { smart => 'TERM', fast => 'INT', immediate => 'QUIT' }->{ $mode || 'fast' };
	kill $signal, $self->{pid};
	my $deadline = time + 60;
	until (waitpid($self->{pid}, POSIX::WNOHANG()) != 0)
	{
		kill 'QUIT', $self->{pid} if time > $deadline;
		die "$self->{name} does not stop\n" if time > $deadline + 10;
		sleep 0.02;
	}
	$self->{pid} = undef;
	return $self;
}

# Kill the postmaster as a crash of the machine would: it and all its children.
sub kill9
{
	my ($self) = @_;
	my $pid = $self->{pid} or return $self;
	my @children = map { (split)[0] } grep { (split)[1] == $pid } `ps -e -o pid=,ppid=`;
	kill 'KILL', $pid, @children;
	waitpid $pid, 0;
	$self->{pid} = undef;
	# a killed postmaster's shared memory must be free before the next start
	my $deadline = time + 30;
	while (grep { kill 0, $_ } @children) { die "children live on\n" if time > $deadline; sleep 0.02; }
	unlink "$self->{dir}/postmaster.pid";
	return $self;
}

sub restart
{
	my ($self, $mode) = @_;
	$self->stop($mode || 'fast');
	return $self->start;
}

# Reload with settings changed: set_conf(work_mem => '1MB')
sub set_conf
{
	my ($self, %conf) = @_;
	$self->query("ALTER SYSTEM SET $_ = '$conf{$_}'") for sort keys %conf;
	$self->query('SELECT pg_reload_conf()');
	return;
}

sub conninfo
{
	my ($self, $database) = @_;
	return "host=$HOST port=$self->{port} user=postgres dbname=" . ($database || $self->database);
}

# The database that query and the others use when none is named.
sub database
{
	my ($self, $database) = @_;
	$self->{database} = $database if defined $database;
	return $self->{database} || 'postgres';
}

# try(sql, database =>, user =>, vars => {}, args => []): run it in a psql of its own.
# Returns (exit status, rows as psql -At prints them, messages).
sub try
{
	my ($self, $sql, %options) = @_;
	my @command = ("$BIN/psql", '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
		'-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=errors',
		(map { ('-v', "$_=$options{vars}{$_}") } sort keys %{ $options{vars} || {} }),
		@{ $options{args} || [] },
		'-h', $HOST, '-p', $self->{port}, '-U', $options{user} || 'postgres',
		'-d', $options{database} || $self->database, '-f', '-');
	my ($in, $out, $err) = (undef, undef, gensym);
	my $pid = open3($in, $out, $err, @command);
	# what does not fit into a pipe is fed by a child, since psql may wait for us to read meanwhile
	my $fits = length $sql < 60000;
	my $feeder = $fits ? undef : fork // die "fork: $!\n";
	if (!$feeder)
	{
		local $SIG{PIPE} = 'IGNORE';
		print $in $sql, "\n";
		close $in;
		POSIX::_exit(0) unless $fits;
	}
	close $in;
	my %text = ($out => '', $err => '');
	my $bits = '';
	my %open = (fileno($out) => $out, fileno($err) => $err);
	while (%open)
	{
		$bits = '';
		vec($bits, $_, 1) = 1 for keys %open;
		select($bits, undef, undef, undef);
		for my $fd (keys %open)
		{
			next unless vec($bits, $fd, 1);
			my $got = sysread $open{$fd}, my $chunk, 65536;
			if ($got) { $text{ $open{$fd} } .= $chunk; }
			else { delete $open{$fd}; }
		}
	}
	waitpid $feeder, 0 if $feeder;
	waitpid $pid, 0;
	my $status = $? >> 8;
	chomp(my $rows = $text{$out});
	return ($status, $rows, $text{$err});
}

# query(sql, ..): the rows as text; dies with the error when it fails.
sub query
{
	my ($self, $sql, %options) = @_;
	my ($status, $rows, $messages) = $self->try($sql, %options);
	if ($status)
	{
		require Carp;
		Carp::croak("$self->{name}: $messages in: " . substr($sql, 0, 1000));
	}
	return $rows;
}

# session(database =>, user =>): a connection that stays open
sub session
{
	my ($self, %options) = @_;
	return RehouseSession->new($self, %options);
}

# Wait until a query gives the expected text ('t').  Dies at the deadline, with
# what it gave last.  One session asks, over and over: it takes another when the server has ended it.
sub poll
{
	my ($self, $sql, $expected, $timeout, %options) = @_;
	$expected //= 't';
	my $deadline = time + ($timeout || 60);
	my ($session, $last);
	do
	{
		my ($rows, $messages) = eval {
			$session //= $self->session(%options);
			$session->try($sql, $deadline - time + 60);
		};
		my $failed = $@ || ($session->{eof} ? $messages || 'the connection was lost' : '')
		  || ($messages =~ /^(ERROR|FATAL|PANIC):/m ? $messages : '');
		return 1 if !$failed && $rows eq $expected;
		$last = $failed || $rows;
		$session = undef if $@ || $session->{eof};
		sleep 0.03;
	} while (time < $deadline);
	require Carp;
	Carp::croak("$self->{name}: waited in vain for '$expected', last was '$last', of: $sql");
}

sub log_text
{
	my ($self) = @_;
	open my $file, '<', $self->logfile or return '';
	local $/;
	return <$file> // '';
}

# Wait until the server has started again after the crash of one of its processes, which is under way: the
# client may see the end of its connection before the postmaster does, and another be let in until then.
sub wait_recovered
{
	my ($self) = @_;
	my $crashes = sub { scalar(() = $self->log_text =~ /all server processes terminated; reinitializing/g) };
	my $deadline = time + 60;
	while ($crashes->() <= ($self->{crashes} // 0))
	{
		die "$self->{name}: no crash to recover from\n" if time > $deadline;
		sleep 0.02;
	}
	$self->{crashes} = $crashes->();
	return $self->poll('SELECT true');
}

sub log_size { return -s $_[0]->logfile || 0; }

# Wait until the log, from an offset on, matches.
sub wait_for_log
{
	my ($self, $regex, $offset, $timeout) = @_;
	my $deadline = time + ($timeout || 60);
	do
	{
		return 1 if substr($self->log_text, $offset || 0) =~ $regex;
		sleep 0.05;
	} while (time < $deadline);
	die "$self->{name}: waited in vain for $regex in the log\n";
}

1;
