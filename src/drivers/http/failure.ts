/** What went wrong on the way: whose fault it is, and in the port's classes. */

import { isIPv6, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { OutgoingFaultCode, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { PortError } from '../../platform/errors.ts'

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

/** The message may be shown to anybody. */
export const ownFault = (code: OutgoingFaultCode, message: string, cause?: unknown) =>
  new PortError<OutgoingFaultCode>(code, message, cause === undefined ? {} : { cause })

type Where = {
  socket?: Socket | null
  /** Whether the connection, with its TLS, once stood: only then may the other side have got anything. */
  isStanding: boolean
  host: string
  addresses: readonly { address: string }[]
}

/** A Failure for what the other side did, a PortError where our own machine lacked something or found no way. */
export function classify(error: NodeJS.ErrnoException, { socket = null, isStanding, host, addresses }: Where): Error {
  if (error instanceof Failure || error instanceof PortError) return error
  // Each address that was tried has its own; one that the other side is to blame for is enough.
  const faults: NodeJS.ErrnoException[] = error instanceof AggregateError ? error.errors : [error]
  const theirs = faults.find((fault) => !isOwn(fault))
  if (!theirs) return describeOwn(faults, host, addresses, error)
  const code = theirs.code ?? 'unknown'
  const fail = (errorClass: FailureClass, text: string) => new Failure(errorClass, `${text} (${code}).`, { cause: error })
  const certificateFault = socket instanceof TLSSocket ? socket.authorizationError : null
  if (certificateFault) return fail('tls', `The certificate of ${host} was not accepted`)
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return fail('tls', `The TLS handshake with ${host} failed`)
  if (code === 'ETIMEDOUT' || code === 'ERR_SOCKET_CONNECTION_TIMEOUT') return fail('timeout', `${host} did not answer in time`)
  if (!isStanding && theirs.syscall === 'connect') return fail('refused', `A connection to ${host} could not be established`)
  if (code.startsWith('HPE_')) return fail('reset', `The response of ${host} is not valid HTTP`)
  if (!isStanding) return fail('reset', `${host} closed the connection before it was established`)
  return fail('reset', `${host} closed the connection before the response was complete`)
}

const lacks = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])
/**
 * No way out of this machine: no route or address for it, or one that its routes or firewall deny (EINVAL is a black hole's). On a
 * connection that stood they come too late: the request may have gone through it.
 */
const routeFaults = new Set(['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EACCES', 'EPERM', 'EINVAL'])

const isOwn = ({ code = '', syscall }: NodeJS.ErrnoException) =>
  lacks.has(code) || ((syscall === 'connect' || syscall === 'bind') && routeFaults.has(code))

/** In words that tell the endpoint's owner what to look at: only they know whether the address is right. */
function describeOwn(faults: NodeJS.ErrnoException[], host: string, addresses: readonly { address: string }[], cause: Error): Error {
  const code = faults[0]?.code ?? 'unknown'
  if (faults.some((fault) => lacks.has(fault.code ?? '')))
    return ownFault('LOCAL', `Quayside lacks the resources for another connection (${code}).`, cause)
  const isName = !host.startsWith('[')
  const onlyIPv6 = isName && addresses.length > 0 && addresses.every(({ address }) => isIPv6(address))
  const what = onlyIPv6 ? `${host}, which has only an IPv6 address` : host
  return ownFault('NO_ROUTE', `There is no route from this machine to ${what} (${code}).`, cause)
}
