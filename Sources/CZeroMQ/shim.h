#include <zmq.h>
// Wakes a thread that waits in zmq_poll; not part of Swift's Glibc module.
#include <sys/eventfd.h>
