# The service manager's end of a notify socket: prints each message as a line, with ' | ' between
# the lines of the message. The first argument is a path, or an abstract name after '@'.
use strict; use Socket; $| = 1;
my ($name) = @ARGV;
$name =~ s/^@/\0/;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($name)) or die "bind: $!";
print "bound\n";
while (defined recv($socket, my $message, 4096, 0)) { $message =~ s/\n/ | /g; print "$message\n"; }
