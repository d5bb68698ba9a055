/** XML of requests and responses. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser'
import { S3Error } from './error.ts'

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@', suppressEmptyNode: false })
const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
})

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'

export type XmlValue = string | number | boolean | undefined | XmlValue[] | { [name: string]: XmlValue }

/** A document with one root. Undefined values are left out, and lists become repeated elements. */
export const toXml = (root: string, content: { [name: string]: XmlValue }): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ [root]: { '@xmlns': namespace, ...content } })}`

export const errorXml = (fields: { Code: string; Message: string; Resource: string; RequestId: string }): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ Error: fields })}`

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
export type XmlNode = any

const malformed = () => new S3Error('MalformedXML', 'The XML of the request is not well-formed or does not match its schema.')

/** The content of the root element, without namespaces. Throws S3Error MalformedXML. */
export function fromXml(text: string, root: string): XmlNode {
  // A document type can define entities that expand to any size.
  if (/<!/.test(text)) throw malformed()
  let parsed: XmlNode
  try {
    parsed = parser.parse(text, true)
  } catch {
    throw malformed()
  }
  const content = parsed?.[root]
  if (typeof content !== 'object' || content === null || Array.isArray(content)) throw malformed()
  return content
}

/** Elements with one name: none, one or several. */
export const listOf = (node: XmlNode): XmlNode[] => (node === undefined ? [] : Array.isArray(node) ? node : [node])

/** The text of an element. Throws S3Error MalformedXML if there is none. */
export function textOf(node: XmlNode): string {
  if (typeof node !== 'string' || node === '') throw malformed()
  return node
}

export const optionalText = (node: XmlNode): string | null => (node === undefined ? null : textOf(node))
