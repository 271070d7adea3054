# PORT COMMAND...: becomes the command, with a socket on this port as descriptor 3. It does not listen yet: until the
# server does, the kernel would give it connections that nobody takes.

use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

my $port = shift;
socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "Error: socket: $!\n";
setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) or die "Error: SO_REUSEADDR: $!\n";
setsockopt($socket, SOL_SOCKET, SO_REUSEPORT, 1) or die "Error: SO_REUSEPORT: $!\n";
bind($socket, sockaddr_in($port, INADDR_ANY)) or die "Error: bind: $!\n";
fileno($socket) == 3 or POSIX::dup2(fileno($socket), 3) or die "Error: dup2: $!\n";
fcntl($socket, F_SETFD, 0) or die "Error: fcntl: $!\n";
exec @ARGV or die "Error: $ARGV[0]: $!\n";
