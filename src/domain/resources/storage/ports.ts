/** What the domain needs of the S3 endpoint. */
import { definePort } from '../../../platform/port.ts'

export type StorageEndpoint = {
  /** Address of the S3 endpoint as clients see it, such as `http://127.0.0.1:4090`. */
  readonly url: string
}

export const storageEndpoint = definePort<StorageEndpoint>('storage endpoint')
