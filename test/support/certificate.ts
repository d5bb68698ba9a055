/** Certificates for tests, made by the X.509 library that acme-client uses. */
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import { createRequire } from 'node:module'
import type * as X509 from '@peculiar/x509'

const require = createRequire(createRequire(import.meta.url).resolve('acme-client'))
require('reflect-metadata')
const x509 = require('@peculiar/x509') as typeof X509
x509.cryptoProvider.set(webcrypto as Crypto)

type Keys = { publicKey: CryptoKey; privateKey: CryptoKey }
export type Authority = { name: string; pem: string; keys: Keys }

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 24 * 3_600_000
const serial = () => Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex')
const newKeys = async () => (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as Keys
const pemOf = async (key: CryptoKey): Promise<string> => {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key as webcrypto.CryptoKey))
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replaceAll(/.{1,64}/g, '$&\n')}-----END PRIVATE KEY-----\n`
}

const publicKeyOf = (pem: string) =>
  webcrypto.subtle.importKey(
    'spki',
    createPublicKey(pem).export({ type: 'spki', format: 'der' }) as Uint8Array<ArrayBuffer>,
    algorithm,
    true,
    ['verify'],
  ) as Promise<CryptoKey>

/** A certificate authority: a root, or below another one. */
export async function createAuthority(name: string, parent?: Authority): Promise<Authority> {
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: serial(), subject: `CN=${name}`, issuer: `CN=${parent?.name ?? name}` },
    ...{ notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + 3_650 * dayMs) },
    ...{ publicKey: keys.publicKey, signingKey: (parent ?? { keys }).keys.privateKey, signingAlgorithm: algorithm },
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  return { name, pem: `${certificate.toString('pem')}\n`, keys }
}

/** `privateKey`: an EC key in PEM; a new one by default. */
export type IssueOptions = { hosts: string[]; notBefore?: Date; notAfter?: Date; privateKey?: string }

/** The certificate of some hosts, without the chain, and its private key. */
export async function issue(
  authority: Authority,
  { hosts, notBefore = new Date(Date.now() - dayMs), notAfter = new Date(Date.now() + 90 * dayMs), privateKey }: IssueOptions,
): Promise<{ certificate: string; privateKey: string }> {
  const own = privateKey ?? (await pemOf((await newKeys()).privateKey))
  const publicKey = await publicKeyOf(own)
  const certificate = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: serial(), subject: `CN=${hosts[0]}`, issuer: `CN=${authority.name}`, notBefore, notAfter },
    ...{ publicKey, signingKey: authority.keys.privateKey, signingAlgorithm: algorithm },
    extensions: [new x509.SubjectAlternativeNameExtension(hosts.map((value) => ({ type: 'dns' as const, value })))],
  })
  return { certificate: `${certificate.toString('pem')}\n`, privateKey: own }
}

/** An RSA key that belongs to no certificate. */
export const strayKey = (): string =>
  (generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey as KeyObject).export({ type: 'pkcs8', format: 'pem' }).toString()
