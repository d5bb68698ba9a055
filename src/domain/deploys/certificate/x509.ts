/** Certificates in PEM: what they say, and whether a chain can be served for a domain. All pure. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

export type CertificateFacts = { issuer: string; fingerprint: string; notBefore: Date; expiresAt: Date }
export type ChainProblem = { field: 'certificatePem' | 'privateKeyPem'; text: string }
export type CheckedChain = { chain: string; facts: CertificateFacts } | { problem: ChainProblem }

/** Sizes of a chain and a key in PEM, in characters. */
export const maxChainLength = 64_000
export const maxKeyLength = 16_000
const maxCertificates = 10
const maxIssuerLength = 300

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** Whether a chain and its key can be served for a domain at a time, with what the certificate says. Text between the certificates is dropped. */
export function checkChain(input: { certificatePem: string; privateKeyPem: string; domain: string; now: Date }): CheckedChain {
  const refuse = (text: string): CheckedChain => ({ problem: { field: 'certificatePem', text } })
  const blocks = input.certificatePem.match(block) ?? []
  if (blocks.length === 0) return refuse('must contain a certificate in PEM, between BEGIN CERTIFICATE and END CERTIFICATE')
  if (blocks.length > maxCertificates) return refuse(`must contain at most ${maxCertificates} certificates`)
  const certificates: X509Certificate[] = []
  for (const [at, pem] of blocks.entries()) {
    const certificate = parse(pem)
    if (certificate === null) return refuse(`certificate ${at + 1} cannot be read`)
    certificates.push(certificate)
  }
  const [leaf] = certificates as [X509Certificate]
  if (leaf.ca) return refuse('the first certificate must be that of the domain, but it is one of a certificate authority')
  if (leaf.checkHost(input.domain, { subject: 'never' }) === undefined)
    return refuse(`the first certificate does not cover ${input.domain}. It covers ${namesOf(leaf)}`)
  const expired = certificates.findIndex((certificate) => certificate.validToDate <= input.now)
  if (expired >= 0) return refuse(`certificate ${expired + 1} expired at ${certificates[expired]!.validToDate.toISOString()}`)
  if (leaf.validFromDate > input.now) return refuse(`the first certificate is not valid before ${leaf.validFromDate.toISOString()}`)
  const loose = certificates.findIndex((certificate, at) => at > 0 && !isIssuedBy(certificates[at - 1]!, certificate))
  if (loose > 0) return refuse(`certificate ${loose} is not issued by certificate ${loose + 1}: each must be followed by its issuer`)
  const chain = `${blocks.join('\n')}\n`
  const problem = keyProblem(leaf, chain, input.privateKeyPem)
  return problem ? { problem } : { chain, facts: factsOf(leaf) }
}

function parse(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

function keyProblem(leaf: X509Certificate, chain: string, pem: string): ChainProblem | null {
  const refuse = (text: string): ChainProblem => ({ field: 'privateKeyPem', text })
  if (/ENCRYPTED/.test(pem)) return refuse('must not be encrypted with a passphrase')
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pem, format: 'pem' })
  } catch {
    return refuse('must be a private key in PEM')
  }
  if (!leaf.checkPrivateKey(key)) return refuse('does not belong to the first certificate')
  try {
    createSecureContext({ cert: chain, key: pem, minVersion: 'TLSv1.2' })
  } catch {
    return refuse('cannot be used for TLS. Use a key of type RSA with at least 2048 bits, or EC')
  }
  return ['rsa', 'ec'].includes(key.asymmetricKeyType ?? '') ? null : refuse('must be of type RSA or EC, which all browsers support')
}

const namesOf = (certificate: X509Certificate): string =>
  (certificate.subjectAltName ?? 'no name').replaceAll('DNS:', '').slice(0, maxIssuerLength)

const factsOf = (certificate: X509Certificate): CertificateFacts => ({
  issuer: certificate.issuer.split('\n').join(', ').slice(0, maxIssuerLength),
  fingerprint: certificate.fingerprint256,
  notBefore: certificate.validFromDate,
  expiresAt: certificate.validToDate,
})
