import type { SshFailureCode } from '../../domain/apps/server/ports.ts'

/** The end of an inspection at one of its stages. The message is for users. */
export class StageError extends Error {
  override readonly name = 'StageError'
  readonly code: SshFailureCode

  constructor(code: SshFailureCode, message: string) {
    super(message)
    this.code = code
  }
}
