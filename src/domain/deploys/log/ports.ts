/** Source of a line. `system` is for messages from Quayside. */
export type OutputStream = 'stdout' | 'stderr' | 'system'

/** Receives raw output of a process. A returned promise is back-pressure: the caller waits for it before it reads more. */
export type OutputSink = (stream: OutputStream, bytes: Uint8Array) => void | Promise<void>
