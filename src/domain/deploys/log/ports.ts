/** Where a line came from. `system` is Quayside itself talking about the step. */
export type OutputStream = 'stdout' | 'stderr' | 'system'

/** Takes raw output of a process. A returned promise is back-pressure: the writer waits for it before it reads on. */
export type OutputSink = (stream: OutputStream, bytes: Uint8Array) => void | Promise<void>
