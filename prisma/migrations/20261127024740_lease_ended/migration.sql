-- AlterEnum
ALTER TYPE "webhook_error_class" ADD VALUE 'UNKNOWN';

-- AlterTable
ALTER TABLE "deployment" ADD COLUMN     "lease_ended" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "webhook_delivery" ADD COLUMN     "lease_ended" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "operation" ADD COLUMN     "lease_ended" INTEGER NOT NULL DEFAULT 0;

-- What is in hand now has lost nobody yet.
UPDATE "deployment" SET "lease_ended" = "lease_epoch" WHERE "lease_expires_at" IS NOT NULL;
UPDATE "webhook_delivery" SET "lease_ended" = "lease_epoch" WHERE "lease_expires_at" IS NOT NULL;
UPDATE "operation" SET "lease_ended" = "lease_epoch" WHERE "lease_expires_at" IS NOT NULL;
