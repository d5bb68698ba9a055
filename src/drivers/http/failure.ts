/** What went wrong on the way, in the port's classes. */

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'

export type FailureClass = Extract<OutgoingResult, { type: 'failure' }>['errorClass']

/** The other side's fault, or a target that we refuse. The message may be shown to anybody. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly errorClass: FailureClass

  constructor(errorClass: FailureClass, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.errorClass = errorClass
  }
}

/** A Failure for what the other side did; the error itself where our own machine lacked something. */
export function classify(error: NodeJS.ErrnoException, socket: Socket | null, where: string): Error {
  // Each address that was tried has its own; one that the other side is to blame for is enough.
  const faults: NodeJS.ErrnoException[] = error instanceof AggregateError ? error.errors : [error]
  const theirs = faults.find((fault) => !isOwn(fault))
  if (!theirs) return error
  const code = theirs.code ?? 'unknown'
  const fail = (errorClass: FailureClass, text: string) => new Failure(errorClass, `${text} (${code}).`, { cause: error })
  const certificateFault = socket instanceof TLSSocket ? socket.authorizationError : null
  if (certificateFault) return fail('tls', `The certificate of ${where} was not accepted`)
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return fail('tls', `The TLS handshake with ${where} failed`)
  if (unreachable.has(code)) return fail('refused', `No connection to ${where} could be made`)
  if (code === 'ETIMEDOUT') return fail('timeout', `${where} did not answer in time`)
  if (code.startsWith('HPE_')) return fail('reset', `The answer of ${where} is not valid HTTP`)
  return fail('reset', `${where} ended the connection before the answer was complete`)
}

const unreachable = new Set(['ECONNREFUSED', 'EHOSTDOWN', 'EACCES', 'EPERM'])
const lacks = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])
/** No way out of this machine. On a connection that stood they come too late: the request may have gone through it. */
const routeFaults = new Set(['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH'])

const isOwn = ({ code = '', syscall }: NodeJS.ErrnoException) => lacks.has(code) || (syscall === 'connect' && routeFaults.has(code))
