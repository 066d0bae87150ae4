/// Why a request was not even looked at.
enum HttpRefusal: Error, Equatable {
    case malformed
    case version
    case tooLarge
    case timeout
    case crowded

    var answer: HttpAnswer {
        switch self {
        case .malformed: HttpAnswer(.badRequest, text: "this is no HTTP request\n")
        case .version: HttpAnswer(.httpVersionNotSupported, text: "HTTP/1.1 or HTTP/1.0\n")
        case .tooLarge: HttpAnswer(.requestHeaderFieldsTooLarge, text: "the request's head is too long\n")
        case .timeout: HttpAnswer(.requestTimeout, text: "no whole request came in time\n")
        case .crowded: HttpAnswer(.serviceUnavailable, text: "too many connections; try again\n")
        }
    }
}
