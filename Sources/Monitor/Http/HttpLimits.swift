import NIOCore

/// What a client may cost.
struct HttpLimits: Sendable {
    /// Open at the same time; who comes then is told so and closed.
    var connections = 64
    /// Of the request line and all headers, counted before they are read.
    var headBytes = 16 << 10
    /// From the connection to the head's last byte.
    var headTime = TimeAmount.seconds(10)
    /// An answer goes out in pieces of so many bytes, each of which has to be taken in `pieceTime`.
    var pieceBytes = 128 << 10
    var pieceTime = TimeAmount.seconds(10)
    /// What the system holds of an answer that is not taken yet.
    var socketBytes = 256 << 10
    /// What is read behind a head and thrown away; who sends more is cut off.
    var ignoredBytes = 256 << 10
    /// For closing a connection, after the answer.
    var lingerTime = TimeAmount.seconds(1)
}
