package RehouseCluster;

# A coordinator and stock workers on loopback, in a directory of their own.
#
#   my $cluster = RehouseCluster->new(workers => 2);      # started, database "app" on all
#   $cluster->add_nodes;                                  # CREATE EXTENSION was done by new
#   $cluster->coordinator->query('SELECT ...');
#   $cluster->worker(1)->query('SELECT ...');
#
# Everything stops when the object goes, whatever happens.

use strict;
use warnings;
use File::Temp ();
use Time::HiRes qw(time sleep);
use RehouseServer;

my %running;    # address => cluster: what END stops

# new(workers => 3, database => 'app', extension => 1, dir =>, name =>,
#     coordinator => {settings}, worker => {settings})
# The workers are not added yet: add_nodes.
sub new
{
	my ($class, %args) = @_;
	my $dir = $args{dir} || File::Temp::tempdir('cluster.XXXXXX', DIR => $ENV{REHOUSE_WORK} || '/tmp');
	mkdir $dir;
	my $self = bless { dir => $dir, owner => $$, database => $args{database} || 'app', servers => [] }, $class;
	$running{ 0 + $self } = $self;
	require Scalar::Util;
	Scalar::Util::weaken($running{ 0 + $self });

	my $inst = $ENV{REHOUSE_INST} or die "REHOUSE_INST is not set: run tests by scripts/check\n";
	my %preload = (
		shared_preload_libraries => 'rehouse',
		extension_destdir => $inst,
		dynamic_library_path => "$inst/usr/lib/postgresql/15/lib:\$libdir");
	$self->_add_server('coordinator', { %preload, %{ $args{coordinator} || {} } });
	$self->_add_server("worker$_", $args{worker}) for 1 .. $args{workers} // 2;
	$_->finish_start for $self->servers;
	$self->make_database($self->{database}, extension => $args{extension} // 1);
	return $self;
}

# A server that is starting: finish_start.

sub _add_server
{
	my ($self, $name, $conf) = @_;
	my $server = RehouseServer->new(name => $name, dir => "$self->{dir}/$name", conf => $conf);
	$server->init->begin_start;
	$server->database($self->{database});
	push @{ $self->{servers} }, $server;
	return $server;
}

# add_worker(settings): one more server, with the database; returns it
sub add_worker
{
	my ($self, $conf) = @_;
	my $server = $self->_add_server('worker' . scalar @{ $self->{servers} }, $conf)->finish_start;
	_create_database($server, $self->{database});
	return $server;
}

sub dir { $_[0]{dir} }
sub coordinator { $_[0]{servers}[0] }
sub worker { $_[0]{servers}[ $_[1] ] }
sub workers { my @all = @{ $_[0]{servers} }; return @all[ 1 .. $#all ]; }
sub servers { return @{ $_[0]{servers} }; }

# On a server, if it does not have it from the beginning.
sub _create_database
{
	my ($server, $name, $template) = @_;
	return if $name eq $RehouseServer::TEMPLATE_DATABASE;
	$server->query("CREATE DATABASE \"$name\" TEMPLATE " . ($template || 'template1'), database => 'postgres');
	return;
}

# Create a database on every server, the helper functions (t/lib/helpers.sql)
# and the extension on the coordinator: make_database(name, extension => 1).
sub make_database
{
	my ($self, $name, %options) = @_;
	my $coordinator = $self->coordinator;
	_create_database($_, $name) for $self->workers;
	_create_database($coordinator, $name, $self->{template});
	$self->_load_helpers($name) unless $self->{template};
	$coordinator->query('CREATE EXTENSION rehouse', database => $name) if $options{extension} // 1;
	return;
}

# From now on, databases on the coordinator are copies of one that has the helpers and these extensions.
sub use_template
{
	my ($self, @extensions) = @_;
	$self->coordinator->query('CREATE DATABASE template_tests IS_TEMPLATE true', database => 'postgres');
	$self->_load_helpers('template_tests', @extensions);
	$self->{template} = 'template_tests';
	return $self;
}

sub _load_helpers
{
	my ($self, $database, @extensions) = @_;
	my @servers = $self->servers;
	$self->coordinator->query(join("\n", (map { "CREATE EXTENSION $_;" } @extensions), helper_sql(),
		'INSERT INTO t.servers VALUES ' . join(', ', map { "($_, '127.0.0.1', " . $servers[$_]->port . ')' } 0 .. $#servers)),
		database => $database);
	return;
}

sub helper_sql
{
	my $lib = $INC{'RehouseCluster.pm'} =~ s{[^/]+$}{}r || './';
	open my $file, '<', "${lib}helpers.sql" or die "${lib}helpers.sql: $!\n";
	local $/;
	return <$file>;
}

# add_nodes(1, 2): citus_add_node for these workers, all by default
sub add_nodes
{
	my ($self, @numbers) = @_;
	@numbers = 1 .. $#{ $self->{servers} } unless @numbers;
	$self->coordinator->query("SELECT citus_add_node('127.0.0.1', " . $self->worker($_)->port . ")") for @numbers;
	return $self;
}

# Leave the servers running when the object goes.
sub abandon { $_[0]{owner} = 0; return; }

# Stop all servers: immediate, since the data goes anyhow.
sub stop
{
	my ($self) = @_;
	return unless $self->{owner} == $$;
	local $?;
	kill 'QUIT', $_->{pid} for grep { $_->{pid} } @{ $self->{servers} };
	eval { $_->stop('immediate'); $_->release_port } for @{ $self->{servers} };
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@);
	$self->stop;
	delete $running{ 0 + $self };
	return;
}

END
{
	local $?;
	$_->stop for grep { defined } values %running;
}

$SIG{$_} //= sub { exit 1 }
  for qw(INT TERM HUP);

1;
