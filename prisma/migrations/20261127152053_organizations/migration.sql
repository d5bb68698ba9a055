-- AlterTable
ALTER TABLE "member" ADD COLUMN     "activated_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "organization" ADD COLUMN     "deleting_at" TIMESTAMPTZ(3);
