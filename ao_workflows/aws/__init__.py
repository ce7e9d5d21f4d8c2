"""AWS: how it is reached, what S3 says of an object, and the object's bytes.

What belongs here: connections, HeadObject, ranges, the S3 client. What does not: queues (``intake``), restores from
Glacier (``glacier``) and the download of a whole object (``download``).
"""
