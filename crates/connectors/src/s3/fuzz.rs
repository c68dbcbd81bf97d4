//! Fuzz targets: what S3 servers write, and ids of objects.

use tramontane_fuzz::fuzz;
use tramontane_model::NativeId;

use super::samples::account;
use super::{answer, fault, place, target, xml};

fuzz!(
    documents,
    [
        "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><Prefix/><KeyCount>1</KeyCount>\
         <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
         <EncodingType>url</EncodingType><Contents><Key>a%20b.txt</Key><Size>5</Size>\
         <LastModified>2026-03-02T09:15:00.000Z</LastModified><ETag>&quot;9e107d9d372bb6826bd81d3542a419d6&quot;\
         </ETag></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>",
        "<ListVersionsResult><Version><Key>a</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>\
         </Version><DeleteMarker><Key>a</Key></DeleteMarker><IsTruncated>true</IsTruncated>\
         <NextKeyMarker>a</NextKeyMarker></ListVersionsResult>",
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name><CreationDate>2026-01-01T00:00:00Z\
         </CreationDate></Bucket></Buckets></ListAllMyBucketsResult>",
        "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>",
        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
        "<Error><Code>NoSuchKey</Code><Message>&#x41;&amp;</Message><![CDATA[x]]></Error>",
    ],
    |data| {
        drop(xml::parse(data));
        drop(answer::Listing::read(data));
        drop(answer::Versions::read(data));
        drop(answer::buckets(data));
        drop(answer::first_failure(data));
        drop(answer::tags(data));
        drop(answer::text(data, "UploadId"));
    }
);

fuzz!(
    error_bodies,
    [
        "<Error><Code>SlowDown</Code><Message>wait</Message><Region>eu-west-1</Region></Error>",
        "<html/>",
        "{\"code\":1}",
    ],
    |data| {
        let said = fault::Said::read(data).unwrap_or_default();
        for status in [301, 403, 404, 412, 416, 503] {
            let error = fault::fault(status, &http::HeaderMap::new(), &said);
            assert!(!error.message.is_empty());
        }
    }
);

fuzz!(ids, ["/", "/bucket/", "/bucket/a/b.txt", "/bucket/a//b/", "bucket", "/b/../c"], |data| {
    let target = target::Target::of(&account("s3", &[("bucket", "bucket")])).unwrap();
    let id = NativeId::new(String::from_utf8_lossy(data).into_owned());
    if let Ok(object) = place::Object::of(&target, &id) {
        assert_eq!(object.id(), id);
    }
    if let Ok(folder) = place::Folder::of(&target, &id) {
        drop((folder.parent(), folder.name().len()));
    }
});
